"""/rest/v1/targets and /rest/v1/actions: devices, what is assigned to them, and what became of it."""

from __future__ import annotations

from collections.abc import Iterable

from sandbox.hawkbit import bodies, errors, fields, render, rsql
from sandbox.hawkbit.model import Action, DistributionSet, Target
from sandbox.hawkbit.wire import NO_CONTENT, Call, Reply, listed


def _target(call: Call) -> Target:
    return call.tenant.repo.target(call.path["target"])


def _action(call: Call) -> Action:
    return call.tenant.repo.action(_target(call), call.path["action"])


def list_targets(call: Call) -> Reply:
    repo = call.tenant.repo
    query = rsql.parse(call.query["q"], fields.TARGET) if "q" in call.query else None
    rows: Iterable[Target] = repo.targets.values()
    if query is not None and query.equals.get("controllerid") in repo.targets:
        rows = [repo.targets[query.equals["controllerid"]]]
    now = repo.now()
    return listed(
        call,
        list(rows),
        fields.TARGET,
        lambda row: render.target(row, call.base, now, full=False),
        query=query,
    )


def create(call: Call) -> Reply:
    repo = call.tenant.repo
    wanted = bodies.parse_list(bodies.TargetBody, call.json)
    if any(one.controller_id in repo.targets for one in wanted):
        raise errors.already_exists()
    made = [repo.add_target(by=call.user, **one.model_dump()) for one in wanted]
    return Reply(201, [render.target(one, call.base, repo.now(), full=False) for one in made])


def get_target(call: Call) -> Reply:
    return Reply(200, render.target(_target(call), call.base, call.tenant.repo.now(), full=True))


def update(call: Call) -> Reply:
    """Ignores updateStatus: nobody can claim a device's state here (measured)."""
    row, body = _target(call), bodies.parse(bodies.TargetUpdate, call.json)
    row.name = body.name or row.name
    row.description = body.description if body.description is not None else row.description
    row.security_token = body.security_token or row.security_token
    row.touch(call.tenant.repo.now(), call.user)
    return get_target(call)


def delete(call: Call) -> Reply:
    call.tenant.repo.remove_target(_target(call))
    return NO_CONTENT


def attributes(call: Call) -> Reply:
    found = _target(call).attributes
    return Reply(200, dict(found)) if found else NO_CONTENT


def assigned_set(call: Call) -> Reply:
    return _set_or_nothing(call, _target(call).assigned)


def installed_set(call: Call) -> Reply:
    return _set_or_nothing(call, _target(call).installed)


def _set_or_nothing(call: Call, found: DistributionSet | None) -> Reply:
    if found is None:
        return NO_CONTENT
    return Reply(200, render.distribution_set(found, call.base, full=True))


def assign(call: Call) -> Reply:
    """200 even if nothing happens: `alreadyAssigned` tells."""
    body = bodies.parse(bodies.SetAssignment, call.json)
    return give(call, [_target(call)], call.tenant.repo.set_for_use(body.id), body)


def give(call: Call, targets: list[Target], to: DistributionSet, body: bodies.AssignmentBody) -> Reply:
    repo = call.tenant.repo
    repo.check_quota(targets)
    if not to.locked:
        call.need("UPDATE_DISTRIBUTION_SET")
        repo.lock(to, call.user)
    act = repo.assign_offline if call.query.get("offline") == "true" else repo.assign
    made = act(targets, to, call.user, force_type=body.type, force_time=body.forcetime, weight=body.weight)
    return Reply(200, render.assignment(len(targets) - len(made), made, call.base))


def target_actions(call: Call) -> Reply:
    return _actions(call, _target(call).actions)


def list_actions(call: Call) -> Reply:
    repo = call.tenant.repo
    query = rsql.parse(call.query["q"], fields.ACTION) if "q" in call.query else None
    rows: Iterable[Action] = repo.actions.values()
    if query is not None and query.equals.get("rollout.id", "").isdigit():
        found = repo.rollouts.get(int(query.equals["rollout.id"]))
        groups = found.groups if found is not None else []
        rows = [action for group in groups for action in group.actions.values()]
    elif query is not None and query.equals.get("target.controllerid") in repo.targets:
        rows = repo.targets[query.equals["target.controllerid"]].actions
    return _actions(call, rows, query)


def _actions(call: Call, rows: Iterable[Action], query: rsql.Query | None = None) -> Reply:
    return listed(
        call,
        list(rows),
        fields.ACTION,
        lambda row: render.action(row, call.base, full=call.full),
        query=query,
        newest_first=True,
    )


def get_action(call: Call) -> Reply:
    return Reply(200, render.action(_action(call), call.base, full=True))


def update_action(call: Call) -> Reply:
    """A soft action can be forced, not the other way round."""
    row, body = _action(call), bodies.parse(bodies.ActionUpdate, call.json)
    if body.force_type != "forced":
        raise errors.invalid("Resource supports only switch to FORCED.")
    if row.force_type != "forced":
        row.force_type = "forced"
        row.touch(call.tenant.repo.now(), call.user)
    return Reply(200, render.action(row, call.base, full=True))


def cancel_action(call: Call) -> Reply:
    row = _action(call)
    if call.query.get("force") == "true":
        call.tenant.repo.force_quit(row, call.user)
    else:
        call.tenant.repo.cancel(row, call.user)
    return NO_CONTENT


def action_history(call: Call) -> Reply:
    return listed(call, _action(call).history, fields.STATUS, render.status_entry, newest_first=True)


def get_one_action(call: Call) -> Reply:
    found = call.tenant.repo.actions.get(call.path["action"])
    if found is None:
        raise errors.not_found("Action", call.path["action"])
    return Reply(200, render.action(found, call.base, full=True))


def delete_one_action(call: Call) -> Reply:
    repo = call.tenant.repo
    found = repo.actions.get(call.path["action"])
    if found is None:
        raise errors.not_found("Action", call.path["action"])
    repo.remove_action(found)
    return NO_CONTENT


def delete_target_actions(call: Call) -> Reply:
    target = _target(call)
    if not isinstance(call.json, list):
        raise errors.not_readable()
    for action in [one for one in target.actions if one.id in call.json]:
        call.tenant.repo.remove_action(action)
    return NO_CONTENT
