"""The settings file as `cdm init` begins it: one stack with one tenant. Its comments stay in the file it writes."""

NOTHING_THERE = "http://127.0.0.1:9"
"""The address of a system that is not there yet: on this machine, where nothing listens, so nobody is asked for it."""

TEMPLATE = f"""\
# Made by `cdm init`; run it again to change an answer, or edit. Then: cdm config check --probe
# Secrets never stand here, only where they are: {{file: path}} (mode 600, read again when it changes) or {{env: NAME}}.
# A system whose address is {NOTHING_THERE} is not there yet: docs/quickstart.md says how to add it.
# Every setting with its meaning: deploy/cdm.example.yaml.

data_dir: ./data                    # the bot's own store; keep it on a disk that survives

server:
  host: 127.0.0.1                   # 0.0.0.0 where others than this machine reach the bot
  port: 8080
  # How browsers (linking accounts) and ThingsBoard reach the bot.
  public_url: http://127.0.0.1:8080

slack:
  mode: socket
  team: T0000000000
  # One channel for all to begin with; then give each purpose its own, here and below.
  fallback_channel: C0000000000
  admin_channel: C0000000000
  bot_token: {{file: secrets/slack-bot-token}}

audit:
  # Seals the log of who did what, so that nobody can write it anew unseen. Keep a copy, but not beside the store's.
  key: {{file: secrets/audit-key}}

keycloak:
  url: {NOTHING_THERE}
  realm: cdm
  client_id: cdm-bot
  client_secret: {{file: secrets/keycloak-client-secret}}

stacks:
  - name: main
    thingsboard_url: {NOTHING_THERE}
    rollout_channel: C0000000000
    hawkbit:
      # Without brake_username and brake_password nothing can be stopped for good and no device gets a set again.
      url: {NOTHING_THERE}
      username: cdm-bot
      password: {{file: secrets/hawkbit-password}}
    # Without `relay` there are no runbooks.
    tenants:
      - id: customer-a
        keycloak_group: /customer-a
        channel: C0000000000
        wireguard_range: 10.66.1.0/24
        thingsboard:
          username: cdm-bot@example.com
          password: {{file: secrets/thingsboard-customer-a}}
        webhook_secrets:
          - {{file: secrets/webhook-customer-a}}

promotion:
  enabled: false                    # the scheduler starts no group until you say so
  owners: [cdm-bot]                 # the hawkBit accounts whose rollouts it may promote: your pipeline's
"""
