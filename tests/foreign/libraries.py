"""libraries - builds the clients of gRPC libraries, with packages from the usual registries."""
import pathlib
import re
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOREIGN = ROOT / "tests" / "foreign"
BUILD = ROOT / "build" / "foreign"
# What package managers say where a registry cannot be reached.
NO_REGISTRY = re.compile(
    r"dial tcp|no such host|i/o timeout|ENOTFOUND|ECONNREFUSED|ETIMEDOUT|EAI_AGAIN|ECONNRESET"
    r"|could not (transfer|resolve|be resolved)|unresolv|unknown host|spurious network"
    r"|failed to (download|fetch)|unable to update registry|couldn't connect"
    r"|failed to establish a new connection|from versions: none", re.IGNORECASE)


class Skipped(Exception):
    """A library that is not to be had here."""


def build(client, *tools):
    """Builds a client with tests/foreign/run. Returns its folder."""
    for tool in tools:
        if not shutil.which(tool):
            raise Skipped(f"no {tool}")
    done = subprocess.run([FOREIGN / "run", "--build", client], stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        log = (BUILD / f"{client}.log").read_text(encoding="utf-8", errors="replace")
        if NO_REGISTRY.search(log):
            raise Skipped(f"its packages cannot be fetched, see {BUILD / client}.log")
        raise RuntimeError(f"the client {client} cannot be built")
    return BUILD / client


def build_go(program):
    """Builds a program of the folder go. Returns its path."""
    folder = build("go", "go", "protoc")
    subprocess.run(["go", "build", "-o", f"bin/{program}", f"./{program}"], cwd=folder, check=True)
    return folder / "bin" / program
