"""The tree keeps its shape: small bodies, few broad excepts, plain names, nothing of the machine it was written on."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.__main__ import names as benchmarks
from forewarn import __main__ as command_line

ROOT = Path(__file__).parents[2]
LONGEST_BODY = 40
LONGEST_FILE = 400
LONGEST_TEST_FILE = 550
MOST_BROAD_EXCEPTS = 5
PACKAGES = ("forewarn", "agent", "collector", "rules", "bench")
FORBIDDEN_WORDS = {"manager", "helper", "helpers", "util", "utils", "data", "info"}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)

# Whom a tracked file may name: this machine, names that lead nowhere, and the standards we follow.
KNOWN_HOSTS = re.compile(
    r"127\.\d+\.\d+\.\d+|[\w-]+|\[::1\]|[\w.-]*\bexample(\.\w+)?|[\w.-]+\.(test|invalid)"
    r"|www\.apache\.org|www\.w3\.org|www\.rfc-editor\.org|keepachangelog\.com|semver\.org|json-schema\.org"
    r"|www\.onvif\.org|docs\.oasis-open\.org|schemas\.xmlsoap\.org"
)


@functools.cache
def tracked() -> list[Path]:
    """Every file of the tree as it is committed or about to be."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    return [path for name in listed.decode().split("\0") if name and (path := ROOT / name).is_file()]


@functools.cache
def texts() -> dict[str, str]:
    """The tracked files that are text, by their path in the tree."""
    found = {}
    for path in tracked():
        content = path.read_bytes()
        if b"\0" not in content:
            found[str(path.relative_to(ROOT))] = content.decode(errors="replace")
    return found


@functools.cache
def modules() -> dict[str, ast.Module]:
    return {name: ast.parse(text) for name, text in texts().items() if name.endswith(".py")}


def ours() -> dict[str, ast.Module]:
    """The program without its tests."""
    return {name: tree for name, tree in modules().items() if name.startswith(PACKAGES)}


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_bodies_are_short() -> None:
    long = [
        f"{name}:{node.lineno} {node.name} has {body_lines(node)} lines"
        for name, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, FUNCTIONS) and body_lines(node) > LONGEST_BODY
    ]
    assert long == []


def test_files_are_short() -> None:
    lines = {name: len(texts()[name].splitlines()) for name in modules()}
    most = {name: LONGEST_TEST_FILE if name.startswith("tests/") else LONGEST_FILE for name in lines}
    assert {name: found for name, found in lines.items() if found > most[name]} == {}


def broad_excepts() -> Iterator[tuple[str, str]]:
    """Where everything is caught, with what the line says."""
    for name, tree in ours().items():
        lines = texts()[name].splitlines()
        for node in ast.walk(tree):
            if isinstance(node, ast.ExceptHandler) and _is_broad(node.type):
                after = lines[node.lineno].strip()
                yield f"{name}:{node.lineno}", lines[node.lineno - 1] + (f"  {after}" if after.startswith("#") else "")


def _is_broad(caught: ast.expr | None) -> bool:
    if isinstance(caught, ast.Tuple):
        return any(_is_broad(part) for part in caught.elts)
    return caught is None or (isinstance(caught, ast.Name) and caught.id in ("Exception", "BaseException"))


def test_broad_excepts_are_few_and_each_says_why() -> None:
    found = dict(broad_excepts())
    assert len(found) <= MOST_BROAD_EXCEPTS, list(found)
    silent = [place for place, line in found.items() if len(re.sub(r"#?\s*noqa: [A-Z0-9, ]+", "", line).split("#")) < 2]
    unsaid = [place for place in silent if not re.search(r"noqa: [A-Z0-9, ]+ ?[-:] ?\w+", found[place])]
    assert unsaid == []


def words_of(name: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name)}


def test_names_say_what_a_thing_is() -> None:
    found = [name for name in modules() if words_of(Path(name).stem) & FORBIDDEN_WORDS]
    found += [
        f"{name}:{node.lineno} {node.name}"
        for name, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and words_of(node.name) & FORBIDDEN_WORDS
    ]
    assert found == []


def test_imports_are_absolute() -> None:
    relative = [
        f"{name}:{node.lineno}"
        for name, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert relative == []


def test_the_agent_cannot_write_to_a_device() -> None:
    """No SNMP SET: neither a library's, nor one of our own making (its PDU has the tag 0xA3)."""
    setters = re.compile(r"set_?(cmd|request|many|oid)|SetRequest(PDU)?", re.IGNORECASE)
    found = []
    for name, tree in ours().items():
        if not name.startswith("agent/"):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and node.value in (0xA3, b"\xa3"):
                found.append(f"{name}:{node.lineno} the tag of a SET")
            called = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
            if setters.fullmatch(called) or (name.startswith("agent/snmp/") and called == "set" and _is_call(node)):
                found.append(f"{name}:{node.lineno} {called}")
    assert found == []


def _is_call(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute)


def test_no_file_names_the_machine_it_was_written_on() -> None:
    paths = re.compile(r"(?<![\w.*])/(wo[r]k|roo[t]|hom[e]/\w+)/\w|fwven[v]|\.pyen[v]")
    assert [f"{name}: {found[0]}" for name, text in texts().items() if (found := paths.search(text))] == []


def test_no_file_names_a_host_of_packages_or_of_people() -> None:
    address = re.compile(r"\w+://(?:[^\s/@{}\"']*@)?(\[[^\]]*\]|[\w.-]+)")
    assert strangers(address) == []


def test_no_file_names_a_person_s_address() -> None:
    assert strangers(re.compile(r"[\w.+-]+@([\w-]+(?:\.[\w-]+)+)")) == []


def strangers(address: re.Pattern[str]) -> list[str]:
    """The hosts in addresses that lead out of the tree."""
    return [
        f"{name}: {host}"
        for name, text in texts().items()
        for host in address.findall(text)
        if not KNOWN_HOSTS.fullmatch(host.rstrip("."))
    ]


def links(name: str) -> list[str]:
    """The files of the tree that a page links to, by their path."""
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", texts()[name])
    return [target for target in targets if "://" not in target]


def test_every_link_of_the_documents_leads_somewhere() -> None:
    pages = [name for name in texts() if name.endswith(".md")]
    dead = [f"{name}: {to}" for name in pages for to in links(name) if not (ROOT / name).parent.joinpath(to).exists()]
    assert dead == []


def test_every_decision_is_linked_and_numbered_once() -> None:
    decisions = [name for name in texts() if name.startswith("docs/decisions/")]
    numbers = [Path(name).name.partition("-")[0] for name in decisions]
    assert sorted(numbers) == [f"{number:03}" for number in range(1, len(numbers) + 1)]
    linked = {str(Path("docs") / to) for to in links("docs/architecture.md")}
    assert set(decisions) <= linked


def commands(name: str) -> list[str]:
    """The command lines in a page's shell blocks."""
    blocks = re.findall(r"```(?:sh|shell|bash)\n(.*?)```", texts()[name], re.DOTALL)
    joined = "\n".join(blocks).replace("\\\n", " ")
    return [line.strip() for line in joined.splitlines() if line.strip() and not line.startswith("#")]


def test_the_readme_is_short() -> None:
    assert len(texts()["README.md"].splitlines()) <= 180
    assert len(texts()["CONTRIBUTING.md"].splitlines()) <= 40


def test_every_make_target_the_documents_name_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", texts()["Makefile"], re.MULTILINE))
    named = {word for name in texts() if name.endswith(".md") for word in re.findall(r"`make ([a-z]+)", texts()[name])}
    named |= {line.split()[1] for line in commands("README.md") if line.startswith("make ")}
    assert named - targets == set()


def test_every_benchmark_the_documents_name_exists() -> None:
    pattern = re.compile(r"(?:python -m bench|make bench ARGS=\")\s*([a-z]+)")
    named = {word for name in texts() if name.endswith(".md") for word in pattern.findall(texts()[name])}
    assert named - set(benchmarks()) == set()


def test_every_figure_the_documents_name_is_measured() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)`", texts()["docs/figures.md"], re.MULTILINE)
    unknown = [figure for name, figure in rows if f'"{figure}"' not in texts().get(f"bench/{name}.py", "")]
    assert rows
    assert unknown == []


def said_verbs() -> list[str]:
    """`forewarn` commands in the code of any page, up to their first argument or option."""
    code = []
    for name in texts():
        if name.endswith(".md"):
            code += commands(name) + re.findall(r"^ {4}(\S.*)|`([^`\n]+)`", texts()[name], re.MULTILINE)
    lines = [part for line in code for part in ([line] if isinstance(line, str) else line)]
    said = {match[1].strip() for line in lines if (match := re.match(r"forewarn((?: [a-z][a-z-]*(?![\w./-]))+)", line))}
    return sorted({" ".join(verb.split()[: 3 if verb.startswith("agent consent") else 2]) for verb in said})


@pytest.mark.parametrize("verb", said_verbs())
def test_every_command_the_documents_name_exists(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = command_line.main([*verb.split(), "--help"])
    except SystemExit as ended:  # `agent run` has argparse's own way of ending.
        code = ended.code or 0
    told = capsys.readouterr()
    assert code == 0, told.err
    assert verb.rsplit(maxsplit=1)[-1] in told.out
