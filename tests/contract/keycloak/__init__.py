"""One suite for the stand-in and the real server, and the traps of Keycloak and its library: where each is held closed.

Each of these tests runs on a real Keycloak too; `broken` puts a proxy in front of it that can misbehave.

| trap (measured on Keycloak 26.7.3, python-keycloak 7.1.1) | what happens without care | held by |
|---|---|---|
| an empty filter is no filter | the first of all, an admin, is "found" | test_the_bot_searches_for_nobody_but_itself |
| query-users without view-users | 200 and an empty list: "no such person" | test_an_under_privileged_bot_says_so |
| `{}` for all role mappings | looks like "no roles" | test_only_effective_roles_are_asked_for |
| a path's segments are not escaped | `../groups` is fetched as is | test_only_a_user_id_is_ever_put_in_a_path |
| a slash in a group's name is not escaped | it passes for a tenant's | test_a_group_whose_name_holds_a_slash |
| a base path without its last slash | `/auth` is dropped without a word | test_a_path_in_the_address_is_kept |
| 200 that is not JSON, or not Keycloak's | a TypeError, integers, no groups | test_a_200_that_is_not_keycloaks_is_no |
| a time-out of 60 s | a click waits a minute | test_no_answer_in_time_is_no |
| no lock around the token | twenty calls ask for twenty tokens | test_twenty_readings_with_an_expired_token |
| a token refused in mid-life | each call renews it | test_a_token_refused_in_mid_life |
| a person's bearer on a shared object | it is sent with another's call | test_no_persons_token_is_ever_sent |
| paging in the caller's dict | one look reads the whole realm | test_a_list_is_read_once_and_bounded |
| a disabled person keeps every role | a right outlives the account | test_disabled_and_unverified_are_said |
| only Keycloak's own 404 means "deleted" | a proxy's 404 ends a link | test_only_keycloaks_own_404_means_deleted |
| an access token is a valid signature too | it passes for a login | test_our_login_client_refuses_another_nonce |
"""
