"""The JSON file of a campaign: every run as the generator printed it, and all that is needed to
judge it elsewhere."""

import dataclasses
import json
import os
import pathlib

from . import workloads
from .campaign import RowResult

FORMAT = 1


class BadFile(Exception):
    """The file is not that of a campaign."""


def contestant_out(contestant):
    return {
        "name": contestant.name,
        "protocol": contestant.protocol,
        "load": list(contestant.load),
        "consumers": contestant.consumers,
        "server": list(contestant.server),
        "far": list(contestant.far),
    }


def contestant_in(stored):
    return workloads.Contestant(
        stored["name"],
        stored["protocol"],
        tuple(stored["load"]),
        stored["consumers"],
        tuple(stored.get("server", ())),  # not in files from before W12
        tuple(stored.get("far", ())),  # not in files from before W13
    )


def row_out(result):
    row = result.row
    return {
        "id": row.id,
        "workload": row.workload,
        "name": row.name,
        "producers": row.producers,
        "consumers": row.consumers,
        "load": list(row.load),
        "base": row.base,
        "server": list(row.server),
        "seconds": row.seconds,
        "timed": row.timed,
        "mirrored": row.mirrored,
        "round_trip_us": row.round_trip_us,
        "contestants": [contestant_out(one) for one in row.contestants],
        "runs": result.runs,
        "dropped": result.dropped,
        "disturbed": result.disturbed,
        "left_out": result.left_out,
    }


def row_in(stored):
    contestants = tuple(contestant_in(one) for one in stored["contestants"])
    row = workloads.Row(
        stored["workload"],
        stored["name"],
        stored["producers"],
        stored["consumers"],
        tuple(stored["load"]),
        contestants,
        stored["base"],
        stored["seconds"],
        tuple(stored["server"]),
        stored["timed"],
        stored.get("mirrored", False),
        stored.get("round_trip_us", 0),
    )
    return RowResult(row, stored["runs"], stored["dropped"], stored["disturbed"], stored["left_out"])


@dataclasses.dataclass
class Campaign:
    date: str
    machine: dict
    versions: dict
    options: dict
    absent: dict  # by contestant: why it took no part
    results: list
    failed: str = ""  # the reason; the runs before the failure are kept


def write(path, campaign):
    """Writes the file in one step: a file that exists is complete."""
    document = {
        "format": FORMAT,
        **{field.name: getattr(campaign, field.name) for field in dataclasses.fields(campaign)},
    }
    document["rows"] = [row_out(result) for result in document.pop("results")]
    half = f"{path}.part"
    pathlib.Path(half).write_text(json.dumps(document, indent=1) + "\n")
    os.replace(half, path)


def read(path):
    try:
        document = json.loads(pathlib.Path(path).read_text())
        if document["format"] != FORMAT:
            raise BadFile(f"{path}: format {document['format']}; this program reads {FORMAT}")
        results = [row_in(stored) for stored in document["rows"]]
        return Campaign(
            **{
                field.name: document[field.name]
                for field in dataclasses.fields(Campaign)
                if field.name != "results"
            },
            results=results,
        )
    except OSError as error:
        raise BadFile(f"{path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise BadFile(f"{path}: no campaign's file ({type(error).__name__}: {error})") from None
