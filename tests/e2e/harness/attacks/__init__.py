"""Attacks on the wire: what is sent (shapes.py), the table of them (table.py), and the process that
sends (attacker.py). tests/attacks measures them; test_guard.py runs each one once."""
import pathlib

ATTACKER = pathlib.Path(__file__).with_name("attacker.py")
