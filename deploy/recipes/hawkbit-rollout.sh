#!/bin/sh
# Creates a rollout that the bot can promote: hawkBit pauses after every group (success action PAUSE) until the bot has
# verified the group on its devices and resumes. It prints the rollout's id.
#
#   export HAWKBIT_URL=https://hawkbit.example.com HAWKBIT_USER=ci HAWKBIT_PASSWORD_FILE=./ci-password
#   hawkbit-rollout.sh edge-1.2.0 edge 1.2.0 'attribute.tenant==customer-a'
#
# Arguments: the rollout's name (unique, so a repeat makes no second one), name and version of the distribution set, and
# the filter of the devices. HAWKBIT_USER must stand in promotion.owners of cdm.yaml and needs READ_ROLLOUT,
# READ_TARGET, READ_DISTRIBUTION_SET, CREATE_ROLLOUT and, to start it, HANDLE_ROLLOUT. A set that was never used must be
# locked first by an account with UPDATE_DISTRIBUTION_SET: PUT /rest/v1/distributionsets/{id} {"locked": true}.
# START_AFTER_S=30 also starts it, that many seconds later: the bot must have seen the devices before they change.
set -eu

if [ $# -ne 4 ]; then
    echo "usage: $0 ROLLOUT SET VERSION FILTER" >&2
    exit 2
fi
# What may stand in a JSON string and in a query as it is; anything else would need quoting.
for word in "$@"; do
    case $word in
    *[!A-Za-z0-9._:=*\;,\(\)!\<\>\ -]* | '')
        echo "$0: will not send: $word" >&2
        exit 2
        ;;
    esac
done
name=$1 set_name=$2 version=$3 filter=$4
api=${HAWKBIT_URL%/}/rest/v1

# The password is handed over in a file of our own: arguments can be read by everybody on the machine.
login=$(mktemp)
trap 'rm -f "$login"' EXIT INT TERM
printf 'user = "%s:%s"\n' "$HAWKBIT_USER" "$(sed 's/["\\]/\\&/g' "$HAWKBIT_PASSWORD_FILE")" >"$login"
call() {
    curl --config "$login" --silent --show-error --fail-with-body --max-time 30 \
        --header 'Content-Type: application/json' "$@"
}
number() { sed -n 's/.*"id" *: *\([0-9][0-9]*\).*/\1/p'; }
status() { call "$api/rollouts/$1" | sed -n 's/.*"status" *: *"\([a-z_]*\)".*/\1/p'; }

set_id=$(call --get --data-urlencode "q=name==$set_name;version==$version" "$api/distributionsets" | number)
if [ -z "$set_id" ]; then
    echo "$0: hawkBit has no set $set_name:$version" >&2
    exit 1
fi

group() {
    printf '{"name": "group-%s", "targetPercentage": %s,' "$1" "$2"
    printf ' "successCondition": {"condition": "THRESHOLD", "expression": "95"},'
    printf ' "successAction": {"action": "PAUSE", "expression": ""},'
    printf ' "errorCondition": {"condition": "THRESHOLD", "expression": "10"},'
    printf ' "errorAction": {"action": "PAUSE", "expression": ""}}'
}
rollout=$(call --get --data-urlencode "q=name==$name" "$api/rollouts" | number)
if [ -z "$rollout" ]; then
    rollout=$(
        printf '{"name": "%s", "distributionSetId": %s, "targetFilterQuery": "%s", "groups": [%s, %s, %s]}' \
            "$name" "$set_id" "$filter" "$(group 1 5)" "$(group 2 25)" "$(group 3 70)" |
            call --data-binary @- "$api/rollouts" | number
    )
fi

tries=0
until [ "$(status "$rollout")" != creating ]; do
    tries=$((tries + 1))
    if [ $tries -gt 120 ]; then
        echo "$0: rollout $rollout is still being created after two minutes" >&2
        exit 1
    fi
    sleep 1
done
if [ -n "${START_AFTER_S:-}" ] && [ "$(status "$rollout")" = ready ]; then
    sleep "$START_AFTER_S"
    call --request POST "$api/rollouts/$rollout/start"
fi
echo "$rollout"
