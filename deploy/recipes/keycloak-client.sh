#!/bin/sh
# Makes the bot's client in a realm, and gives its service account the one right it needs. Log in first, as an
# administrator of the realm; kcadm.sh comes with Keycloak and asks for the password:
#
#   kcadm.sh config credentials --server https://keycloak.example.com --realm master --user admin
#   keycloak-client.sh cdm https://cdm-bot.example.com secrets/keycloak-client-secret
#
# Arguments: the realm, the bot's server.public_url, and the file that gets the client's secret (mode 600).
# KCADM names the program where it is not on the path; KCADM_CONFIG its file where it is not the usual one.
set -eu

if [ $# -ne 3 ]; then
    echo "usage: $0 REALM PUBLIC_URL SECRET_FILE" >&2
    exit 2
fi
realm=$1 public_url=${2%/} secret_file=$3
here=$(dirname "$0")
kcadm() {
    "${KCADM:-kcadm.sh}" "$@" ${KCADM_CONFIG:+--config "$KCADM_CONFIG"}
}
value() { tr -d '"\r'; }

client=$(kcadm get clients -r "$realm" -q clientId=cdm-bot --fields id --format csv --noquotes)
if [ -z "$client" ]; then
    client=$(kcadm create clients -r "$realm" -f "$here/keycloak-client.json" -s "redirectUris=[\"$public_url/oidc/callback\"]" -i)
fi

# view-users and nothing more: it brings query-users and query-groups. With manage-users the bot could give itself any
# role, with view-clients it could read every client's secret; the probe warns of both.
kcadm add-roles -r "$realm" --uusername service-account-cdm-bot --cclientid realm-management --rolename view-users

# The ID token tells who linked an account, and when they logged in. CDM's realm file brings its own list of scopes, and
# basic (sub, auth_time) and acr are not in it.
has=$(kcadm get "clients/$client/default-client-scopes" -r "$realm" --fields name --format csv --noquotes | value)
for scope in basic acr profile email; do
    if ! echo "$has" | grep -qx "$scope"; then
        id=$(kcadm get client-scopes -r "$realm" --fields id,name --format csv --noquotes | value | sed -n "s/,$scope\$//p")
        if [ -z "$id" ]; then
            echo "$0: realm $realm has no client scope $scope; see docs/facts/keycloak.md, section 4" >&2
            exit 1
        fi
        kcadm update "clients/$client/default-client-scopes/$id" -r "$realm"
    fi
done

umask 077
kcadm get "clients/$client/client-secret" -r "$realm" --fields value --format csv --noquotes | value >"$secret_file"
echo "Made client cdm-bot in realm $realm; its secret is in $secret_file"
