"""Answers become files: the settings as YAML, each secret a file of its own, all or nothing."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import asyncssh
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from bot.config_file import load_settings
from bot.setup.questions import Place, Question
from bot.setup.template import NOTHING_THERE, TEMPLATE

Tree = Any
"""Of ruamel.yaml, with its comments."""

SECRETS = "secrets"
NOT_SET = "not set yet"
"""What the secret file of a system holds that is not there yet."""
RELAY_KEY, KNOWN_HOSTS = f"{SECRETS}/relay-ed25519", "known_hosts"
_RELAY: Place = ("stacks", 0, "relay")
_TENANT: Place = ("stacks", 0, "tenants", 0)


class CannotChange(Exception):
    """The settings file that is there is none that `cdm init` may change. The text says why."""


@dataclass(slots=True)
class Draft:
    """The settings of `directory` to be; nothing is written before `write`. `private` and `public` are contents by
    path, `later` the systems that are not there yet."""

    directory: Path
    tree: Tree
    fresh: bool
    private: dict[str, str] = field(default_factory=dict)
    public: dict[str, str] = field(default_factory=dict)
    later: list[str] = field(default_factory=list)

    @classmethod
    def begin(cls, directory: Path) -> Draft:
        """On the settings that are there, else on the template."""
        path = directory / "cdm.yaml"
        fresh = not path.exists()
        try:
            tree = _yaml().load(TEMPLATE if fresh else path.read_text(encoding="utf-8"))
            stacks = tree["stacks"]
            simple = len(stacks) == 1 and len(stacks[0]["tenants"]) == 1
        except (YAMLError, OSError, UnicodeDecodeError, LookupError, TypeError) as error:
            raise CannotChange(f"{path} cannot be changed by questions ({error}). Correct it by hand.") from None
        if not simple:
            raise CannotChange(
                f"{path} has several stacks or tenants. cdm init knows one of each: use cdm tenant, or an editor."
            )
        return cls(directory, tree, fresh)

    @property
    def config(self) -> Path:
        return self.directory / "cdm.yaml"

    def now(self, place: Place) -> Any:
        """What stands there, None for nothing."""
        node = self.tree
        for part in place:
            try:
                node = node[part]
            except (LookupError, TypeError):
                return None
        return node

    def default(self, question: Question) -> str:
        """The answer that stands there now; of a fresh file the question's own."""
        found = self.now(question.places[0])
        if self.fresh or found in (None, NOTHING_THERE):
            return question.default
        return str(found)

    def keeps(self, question: Question) -> bool:
        """A secret that is there already, in a file or in the environment."""
        given = self.now(question.places[0])
        if not question.secret or not isinstance(given, Mapping):
            return False
        if "env" in given:
            return True
        path = self.directory / str(given["file"])
        return path.exists() and path.read_text(encoding="utf-8").strip() not in ("", NOT_SET)

    def put(self, question: Question, value: str) -> None:
        if question.secret:
            self._put_secret(question, value)
            return
        if not self.fresh and str(self.now(question.places[0])) == value:
            return  # as it is; the other places may long have got values of their own
        for place in question.places:
            _set(self.tree, place, int(value) if place[-1] == "port" else value)

    def _put_secret(self, question: Question, value: str) -> None:
        place = question.places[0]
        given = self.now(place)
        if not isinstance(given, Mapping) or "file" not in given:
            given = _in_file(f"{SECRETS}/{question.file.format(tenant=self._tenant)}")
            _set(self.tree, place, given)
        self.private[str(given["file"])] = value

    def leave_for_later(self, system: str) -> None:
        self.later.append(system)

    def complete(self) -> None:
        """What nobody is asked for: the webhook's secret, the audit's key, the relay's key, what stands in for a later
        secret, and the word to git to leave the secrets alone."""
        if self.fresh:
            self._name_by_tenant()
        for given in (*self.now((*_TENANT, "webhook_secrets")), self.now(("audit", "key")) or {}):
            if "file" in given and not (self.directory / str(given["file"])).exists():
                self.private[str(given["file"])] = secrets.token_urlsafe(32)
        if self.now(_RELAY) is not None:
            self._relay_files()
        if not (self.directory / SECRETS).exists():
            self.private[f"{SECRETS}/.gitignore"] = "*"
        for given in _secret_files(self.tree):
            if given not in self.private and not (self.directory / given).exists():
                self.private[given] = NOT_SET

    @property
    def _tenant(self) -> str:
        return str(self.now((*_TENANT, "id")))

    def _name_by_tenant(self) -> None:
        _set(self.tree, (*_TENANT, "webhook_secrets", 0, "file"), f"{SECRETS}/webhook-{self._tenant}")
        _set(self.tree, (*_TENANT, "thingsboard", "password", "file"), f"{SECRETS}/thingsboard-{self._tenant}")

    def _relay_files(self) -> None:
        for name, value in (("key_file", RELAY_KEY), ("known_hosts", KNOWN_HOSTS)):
            if self.now((*_RELAY, name)) is None:
                _set(self.tree, (*_RELAY, name), value)
        key_file, known_hosts = (str(self.now((*_RELAY, name))) for name in ("key_file", "known_hosts"))
        if not (self.directory / key_file).exists():
            key = asyncssh.generate_private_key("ssh-ed25519", comment="cdm-bot")
            self.private[key_file] = key.export_private_key("openssh").decode()
            self.public[f"{key_file}.pub"] = key.export_public_key("openssh").decode()
        if not (self.directory / known_hosts).exists():
            self.public[known_hosts] = "# Host keys of the relay and of the devices, by name (docs/quickstart.md).\n"

    def text(self) -> str:
        out = StringIO()
        _yaml().dump(self.tree, out)
        return out.getvalue()

    def write(self) -> None:
        """Each file whole or not at all, the settings last and only if they are valid. Raises BadConfig, OSError."""
        self.directory.mkdir(parents=True, exist_ok=True)
        settings = _part(self.config, self.text(), 0o644)
        parts = {self.config: settings}
        try:
            load_settings(settings)
            for names, mode in ((self.private, 0o600), (self.public, 0o644)):
                for name, text in names.items():
                    path = self.directory / name
                    path.parent.mkdir(mode=0o700, exist_ok=True)
                    if path.parent.name == SECRETS:
                        path.parent.chmod(0o700)
                    parts[path] = _part(path, text if text.endswith("\n") else f"{text}\n", mode)
            for path in [*(p for p in parts if p != self.config), self.config]:
                parts[path].replace(path)
        finally:
            for part in parts.values():
                part.unlink(missing_ok=True)


def _part(path: Path, text: str, mode: int) -> Path:
    """The text in a file beside `path`, with its mode from the first byte on."""
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return part


def _set(tree: Tree, place: Place, value: object) -> None:
    *to, last = place
    for part in to:
        if isinstance(part, str) and part not in tree:
            _add(tree, part, {})
        tree = tree[part]
    if isinstance(last, str) and last not in tree:
        _add(tree, last, value)
    else:
        tree[last] = value


def _add(tree: Tree, key: str, value: object) -> None:
    """Before the last key: what is written below that one, to the next section, belongs to it."""
    if isinstance(tree, CommentedMap):
        tree.insert(len(tree) - 1, key, value)
    else:
        tree[key] = value


def _in_file(path: str) -> CommentedMap:
    """{file: path}, on one line."""
    given = CommentedMap(file=path)
    given.fa.set_flow_style()
    return given


def _secret_files(node: Any) -> list[str]:
    """Every {file: path} below."""
    if isinstance(node, Mapping):
        if set(node) == {"file"}:
            return [str(node["file"])]
        return [file for value in node.values() for file in _secret_files(value)]
    return [file for value in node for file in _secret_files(value)] if isinstance(node, list) else []


def _yaml() -> YAML:
    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    yaml.width = 120
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml
