"""/rest/v1/rollouts and their deployment groups."""

from __future__ import annotations

from sandbox.hawkbit import bodies, errors, fields, render
from sandbox.hawkbit.model import Conditions, Group, Rollout
from sandbox.hawkbit.operations import GroupWish, RolloutWish, even_groups
from sandbox.hawkbit.repository import DEFAULT_WEIGHT
from sandbox.hawkbit.wire import NO_CONTENT, Call, Reply, listed


def _rollout(call: Call) -> Rollout:
    return call.tenant.repo.rollout(call.path["rollout"])


def _group(call: Call) -> Group:
    for group in _rollout(call).groups:
        if group.id == call.path["group"]:
            return group
    raise errors.not_found("RolloutGroup", call.path["group"])


def list_rollouts(call: Call) -> Reply:
    rows = [row for row in call.tenant.repo.rollouts.values() if not row.deleted]
    return listed(call, rows, fields.ROLLOUT, lambda row: render.rollout(row, call.base, full=call.full))


def get_rollout(call: Call) -> Reply:
    return Reply(200, render.rollout(_rollout(call), call.base, full=True))


def create(call: Call) -> Reply:
    """Rights of the creator decide more: a set never used must be locked, a start time needs the right to start."""
    body = bodies.parse(bodies.RolloutBody, call.json)
    if not body.name:
        raise errors.invalid("name must not be empty")
    if not body.target_filter_query:
        raise errors.invalid("Cannot create a Rollout with an empty target query filter!")
    if body.distribution_set_id is None:
        raise errors.invalid("distributionSetId must not be null")
    found = call.tenant.repo.set_for_use(body.distribution_set_id)
    if body.start_at is not None:
        call.need("HANDLE_ROLLOUT")
    wish = RolloutWish(
        name=body.name,
        filter=body.target_filter_query,
        set=found,
        type=body.type,
        weight=DEFAULT_WEIGHT if body.weight is None else body.weight,
        description=body.description,
        force_time=body.forcetime,
        start_at=body.start_at,
        groups=_groups(body, call.tenant.repo.quotas.groups_per_rollout),
    )
    made = call.tenant.operations.create(wish, call.user, may_lock=call.account.may("UPDATE_DISTRIBUTION_SET"))
    return Reply(201, render.rollout(made, call.base, full=True))


def _groups(body: bodies.RolloutBody, limit: int) -> list[GroupWish]:
    defaults = body.conditions(Conditions())
    if body.groups:
        return [
            GroupWish(
                name=group.name or _no_name(),
                percentage=group.target_percentage,
                conditions=group.conditions(defaults),
                description=group.description,
                filter=group.target_filter_query,
            )
            for group in body.groups
        ]
    if body.amount_groups is None or body.amount_groups < 1:
        raise errors.invalid("The amount of groups cannot be lower than or equal to zero for static rollouts")
    if body.amount_groups > limit:
        raise errors.quota(f"The amount of groups cannot be greater than {limit}")
    return even_groups(body.amount_groups, defaults)


def _no_name() -> str:
    raise errors.invalid("group name must not be empty")


def update(call: Call) -> Reply:
    body = bodies.parse(bodies.RolloutUpdate, call.json)
    row = _rollout(call)
    call.tenant.operations.update(row, call.user, name=body.name, description=body.description)
    return Reply(200, render.rollout(row, call.base, full=True))


def start(call: Call) -> Reply:
    call.tenant.operations.start(_rollout(call), call.user)
    return NO_CONTENT


def pause(call: Call) -> Reply:
    call.tenant.operations.pause(_rollout(call), call.user, overtaken=call.sandbox.pause_race)
    return NO_CONTENT


def resume(call: Call) -> Reply:
    call.tenant.operations.resume(_rollout(call), call.user)
    return NO_CONTENT


def stop(call: Call) -> Reply:
    call.tenant.operations.stop(_rollout(call), call.user)
    return NO_CONTENT


def trigger_next_group(call: Call) -> Reply:
    call.tenant.operations.trigger_next_group(_rollout(call), call.user)
    return NO_CONTENT


def approve(call: Call) -> Reply:
    call.tenant.operations.decide(_rollout(call), call.user, approved=True, remark=call.query.get("remark"))
    return NO_CONTENT


def deny(call: Call) -> Reply:
    call.tenant.operations.decide(_rollout(call), call.user, approved=False, remark=call.query.get("remark"))
    return NO_CONTENT


def retry(call: Call) -> Reply:
    may_lock = call.account.may("UPDATE_DISTRIBUTION_SET")
    made = call.tenant.operations.retry(_rollout(call), call.user, may_lock=may_lock)
    return Reply(201, render.rollout(made, call.base, full=True))


def delete(call: Call) -> Reply:
    call.tenant.operations.delete(_rollout(call), call.user)
    return NO_CONTENT


def list_groups(call: Call) -> Reply:
    mixed = call.sandbox.mixed_snapshots

    def show(group: Group) -> render.Json:
        before = "scheduled" if mixed and group.unread_start else None
        group.unread_start = False
        return render.group(group, call.base, full=call.full, status=before)

    return listed(call, _rollout(call).groups, fields.GROUP, show)


def get_group(call: Call) -> Reply:
    return Reply(200, render.group(_group(call), call.base, full=True))


def list_group_targets(call: Call) -> Reply:
    """Takes every filter the list of targets takes. Order is that of membership."""
    now, targets = call.tenant.repo.now(), call.tenant.repo.targets
    rows = [one for one in _group(call).members if targets.get(one.controller_id) is one]
    return listed(call, rows, fields.TARGET, lambda row: render.target(row, call.base, now, full=False))
