"""/rest/v1/distributionsets and, as far as a set needs them, /rest/v1/softwaremodules."""

from __future__ import annotations

import hashlib
import re

from sandbox.hawkbit import bodies, errors, fields, render
from sandbox.hawkbit.api_targets import give
from sandbox.hawkbit.model import Artifact, DistributionSet, SoftwareModule
from sandbox.hawkbit.wire import NO_CONTENT, Call, Reply, listed

HASHES = ("sha1", "md5", "sha256")


def _set(call: Call) -> DistributionSet:
    return call.tenant.repo.set(call.path["set"])


def list_sets(call: Call) -> Reply:
    rows = list(call.tenant.repo.sets.values())
    return listed(call, rows, fields.SET, lambda row: render.distribution_set(row, call.base, full=False))


def create(call: Call) -> Reply:
    repo = call.tenant.repo
    made = []
    for one in bodies.parse_list(bodies.SetBody, call.json):
        modules = [_find_module(call, ref.id) for ref in one.modules]
        row = repo.add_set(one.name, one.version, call.user, set_type=one.type, modules=modules)
        row.description = one.description
        made.append(row)
    return Reply(201, [render.distribution_set(row, call.base, full=False) for row in made])


def get_set(call: Call) -> Reply:
    return Reply(200, render.distribution_set(_set(call), call.base, full=True))


def update(call: Call) -> Reply:
    """`{"locked": true}` locks the set without using it."""
    row, body, repo = _set(call), bodies.parse(bodies.SetUpdate, call.json), call.tenant.repo
    row.name = body.name or row.name
    row.version = body.version or row.version
    row.description = body.description if body.description is not None else row.description
    row.touch(repo.now(), call.user)
    if body.locked is True:
        repo.lock(row, call.user)
    elif body.locked is False:
        row.locked = False
    return get_set(call)


def assign_targets(call: Call) -> Reply:
    """Bulk assignment. Unknown devices are passed over."""
    wanted = bodies.parse_list(bodies.TargetAssignment, call.json)
    repo = call.tenant.repo
    limit = repo.quotas.assignments_per_request
    if len(wanted) > limit:
        raise errors.quota(f"Quota exceeded: {len(wanted)} assignments in one request. The maximum is {limit}.")
    found = repo.set_for_use(call.path["set"])
    targets = [repo.targets[one.id] for one in wanted if one.id in repo.targets]
    return give(call, targets, found, wanted[0] if wanted else bodies.AssignmentBody())


def invalidate(call: Call) -> Reply:
    """Rights by what it does: stopping rollouts and cancelling actions need their own (measured)."""
    body = bodies.parse(bodies.InvalidationBody, call.json)
    if body.cancel_rollouts:
        call.need("UPDATE_ROLLOUT")
    if body.action_cancelation_type != "none":
        call.need("UPDATE_ROLLOUT", "UPDATE_TARGET")
    call.tenant.operations.invalidate(
        _set(call),
        call.user,
        cancelation=body.action_cancelation_type,
        cancel_rollouts=body.cancel_rollouts,
    )
    return NO_CONTENT


def _find_module(call: Call, module_id: int) -> SoftwareModule:
    found = call.tenant.repo.modules.get(module_id)
    if found is None:
        raise errors.not_found("SoftwareModule", module_id)
    return found


def list_modules(call: Call) -> Reply:
    rows = list(call.tenant.repo.modules.values())
    return listed(call, rows, fields.MODULE, lambda row: render.module(row, call.base))


def create_modules(call: Call) -> Reply:
    repo = call.tenant.repo
    made = []
    for one in bodies.parse_list(bodies.ModuleBody, call.json):
        if any((row.name, row.version, row.type) == (one.name, one.version, one.type) for row in repo.modules.values()):
            raise errors.already_exists()
        row = SoftwareModule(**repo.row("module", call.user), **one.model_dump())
        repo.modules[row.id] = row
        made.append(row)
    return Reply(201, [render.module(row, call.base) for row in made])


def get_module(call: Call) -> Reply:
    return Reply(200, render.module(_find_module(call, call.path["module"]), call.base))


def artifacts(call: Call) -> Reply:
    """A bare list, without links."""
    module = _find_module(call, call.path["module"])
    return Reply(200, [render.artifact(one, None, call.base) for one in module.artifacts])


def upload(call: Call) -> Reply:
    """A multipart upload with one part named `file`. Hashes are kept, the bytes are not.

    What is refused, and in which order, is hawkBit's source (1.1.0), not measured.
    """
    module, repo = _find_module(call, call.path["module"]), call.tenant.repo
    sent_as, data = _file_part(call)
    if not data:
        return Reply(400)
    if module.locked:
        raise errors.locked("SoftwareModule", module.id, "ADD_ARTIFACT")
    filename = call.query.get("filename") or sent_as
    if any(one.filename == filename for one in module.artifacts):
        raise errors.already_exists("File with that name already exists in the Software Module")
    hashes = {name: hashlib.new(name, data, usedforsecurity=False).hexdigest() for name in HASHES}
    for name, found in hashes.items():
        given = call.query.get(f"{name}sum", found).lower()
        if given != found:
            raise errors.checksum(name, given, found)
    artifact = Artifact(**repo.row("artifact", call.user), filename=filename, size=len(data), hashes=hashes)
    module.artifacts.append(artifact)
    module.touch(repo.now(), call.user)
    return Reply(201, render.artifact(artifact, module, call.base))


def _file_part(call: Call) -> tuple[str, bytes]:
    """Name and bytes of the part `file`, byte for byte."""
    boundary = re.search(r'boundary="?([^";]+)', call.content_type)
    if boundary is None:
        raise errors.not_readable()
    for part in (b"\r\n" + call.raw).split(f"\r\n--{boundary[1]}".encode()):
        head, _, data = part.partition(b"\r\n\r\n")
        if re.search(rb'\bname="file"', head):
            name = re.search(rb'filename="([^"]*)"', head)
            return name[1].decode() if name else "file", data
    raise errors.not_readable()
