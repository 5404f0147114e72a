#!/usr/bin/python3
"""Money is transferred between accounts while workers and the daemon are killed.

    TRIBUTARY_BIN=build/dev/bin tests/e2e/transfers.py --kills 500 [--seed N]

Each account is a key of the processor `accounts` (harness/accounts.py). Three workers
(`tributary batch work`) share one store. A transfer is two operations: it takes an amount from one
account and, where that worked, gives it to another one. Each operation has an id, and is sent again
with it until its outcome is known. One `tributary batch run --jsonl` sends them all.

Kills come after a random number of outcomes: most end a worker with SIGKILL, each tenth ends the
daemon, and each seventh stops a worker (SIGSTOP) until another one has saved, and lets it go on.
At the end the store is read: every balance is what the outcomes say, the sum is what it was, and
the operations of an account have the numbers 1, 2, 3, ... once each."""
import argparse
import json
import pathlib
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

from harness.accounts import START
from harness.daemon import PATIENCE, Daemon, binary, eventually

HANDLER = pathlib.Path(__file__).parent / "harness" / "accounts.py"
ACCOUNTS = 12
WORKERS = 3
IN_FLIGHT = 40  # transfers


class Workers:
    """Three workers on one store. Each is started again when it was killed."""

    def __init__(self, folder, address):
        self.folder, self.address = folder, address
        self.store = folder / "accounts.db"
        self.errors = open(folder / "workers.txt", "wb")
        self.processes = [None] * WORKERS
        for number in range(WORKERS):
            self.start(number)

    def start(self, number):
        kept = number > 0  # the first one has a process for each batch
        handler = f"exec /usr/bin/python3 -S -B {HANDLER}{' lines' if kept else ''}"
        words = ["batch", "work", "accounts", "--store", self.store, "--exec", handler, "--adaptive"]
        words += ["--window", "20ms", "--worker", f"w{number}", "-s", self.address, "--wait", "-q"]
        words += ["--keep"] if kept else []
        self.processes[number] = subprocess.Popen(
            [binary("tributary"), *map(str, words)], stdin=subprocess.DEVNULL, stderr=self.errors
        )

    def kill(self, number):
        self.processes[number].kill()
        self.processes[number].wait()
        self.start(number)

    def signal(self, number, which):
        self.processes[number].send_signal(which)

    def stop(self):
        """Ends them gently. Returns their exit codes."""
        for process in self.processes:
            process.send_signal(signal.SIGCONT)
            process.terminate()
        return [process.wait(PATIENCE) for process in self.processes]

    def close(self):
        for process in self.processes:
            process.kill()
            process.wait()
        self.errors.close()

    def rows(self, sql):
        connection = sqlite3.connect(self.store)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()


class Caller:
    """Sends operations by `tributary batch run --jsonl`, each until its outcome is known."""

    def __init__(self, address):
        words = ["batch", "run", "accounts", "--jsonl", "--retry", "--timeout", "20s", "-s", address]
        self.process = subprocess.Popen(
            [binary("tributary"), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.lock = threading.Lock()
        self.waiting = {}  # by id: (key, amount, what hears of the outcome)
        self.outcomes = {}  # by id: (key, amount, result, or None where it was refused)
        self.sent_again = 0
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def run(self, identity, key, amount, done):
        with self.lock:
            self.waiting[identity] = (key, amount, done)
            self._send(identity, key, amount)

    def _send(self, identity, key, amount):
        self.process.stdin.write(json.dumps({"key": key, "id": identity, "data": str(amount)}) + "\n")
        self.process.stdin.flush()

    def _read(self):
        for line in self.process.stdout:
            answer = json.loads(line)
            code = answer.get("error", {}).get("code", "OK")
            with self.lock:
                key, amount, done = self.waiting[answer["id"]]
                if code not in ("OK", "FAILED_PRECONDITION"):
                    self.sent_again += 1
                    self._send(answer["id"], key, amount)
                    continue
                del self.waiting[answer["id"]]
                result = int(answer["data"]) if code == "OK" else None
                self.outcomes[answer["id"]] = (key, amount, result)
            done(result is not None)

    def close(self):
        self.process.stdin.close()
        code = self.process.wait(PATIENCE)
        self.thread.join(PATIENCE)
        self.process.stdout.close()
        return code


class Transfers:
    """Keeps IN_FLIGHT transfers on their way until it is stopped."""

    def __init__(self, caller, seed):
        self.caller, self.random = caller, random.Random(seed)
        self.lock = threading.Lock()
        self.number = self.complete = self.refused = 0
        self.is_over = False
        self.in_flight = 0
        for _ in range(IN_FLIGHT):
            self.begin()

    def begin(self):
        with self.lock:
            if self.is_over:
                return
            self.number += 1
            number = self.number
            self.in_flight += 1
            giver, taker = self.random.sample(range(ACCOUNTS), 2)
            amount = self.random.randint(1, 300)

        def taken(worked):
            if worked:
                self.caller.run(f"{number}+", f"account-{taker}", amount, given)
            else:
                self.end(refused=True)

        def given(worked):
            if not worked:
                raise AssertionError("an account refuses money")
            self.end()

        self.caller.run(f"{number}-", f"account-{giver}", -amount, taken)

    def end(self, refused=False):
        with self.lock:
            self.complete += 1
            self.refused += refused
            self.in_flight -= 1
        self.begin()

    def stop(self, patience):
        with self.lock:
            self.is_over = True
        eventually(lambda: self.in_flight == 0, "all transfers have ended", patience)


def check(workers, outcomes):
    """Returns what is wrong, as sentences."""
    wrong = []
    balances = {}
    numbers = {}
    for key, amount, result in outcomes.values():
        if result is not None:
            balances[key] = balances.get(key, START) + amount
            numbers.setdefault(key, []).append(result)
    stored = {
        bytes(key).decode(): json.loads(data) for key, data in workers.rows("SELECT key, data FROM resource")
    }
    for key, balance in sorted(balances.items()):
        if stored[key]["balance"] != balance:
            wrong.append(f"{key} has {stored[key]['balance']}, and not {balance}")
        if sorted(numbers[key]) != list(range(1, stored[key]["count"] + 1)):
            wrong.append(f"{key}: {stored[key]['count']} operations, but results {sorted(numbers[key])}")
    total = sum(account["balance"] for account in stored.values())
    if total != START * len(stored):
        wrong.append(f"there are {total}, and not {START * len(stored)}")
    results = workers.rows("SELECT count(*) FROM result")[0][0]
    if results != len(outcomes):
        wrong.append(f"the store has {results} results, and there were {len(outcomes)} outcomes")
    return wrong


def generation(workers):
    return workers.rows("SELECT coalesce(sum(generation), 0) FROM resource")[0][0]


def kill_one(number, choose, workers, daemon, address):
    """The kill with this number. Returns the daemon that serves then."""
    victim = choose.randrange(WORKERS)
    if number % 10 == 9:
        daemon.kill()
        return Daemon(listen=(address,), level="warn")
    if number % 7 == 6:
        workers.signal(victim, signal.SIGSTOP)
        before = generation(workers)
        try:
            eventually(lambda: generation(workers) > before, "the others save", 3)
        except AssertionError:
            pass  # all accounts wait for the one that is stopped: it is killed below
        workers.signal(victim, signal.SIGCONT)
    workers.kill(victim)
    return daemon


def campaign(kills, seed, report=lambda text: None):
    """Returns (what is wrong, summary)."""
    began = time.monotonic()
    choose = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="tributary-transfers-") as name:
        folder = pathlib.Path(name)
        address = f"unix:{folder}/server"
        daemon = Daemon(listen=(address,), level="warn")
        workers = Workers(folder, address)
        caller = Caller(address)
        try:
            transfers = Transfers(caller, seed)
            for number in range(kills):
                goal = transfers.complete + choose.randint(1, 25)
                eventually(lambda: transfers.complete >= goal, f"transfers end after {number} kills", 60)
                daemon = kill_one(number, choose, workers, daemon, address)
                if number % 50 == 49:
                    report(f"{number + 1} kills, {transfers.complete} transfers")
            transfers.stop(120)
            caller.close()
            codes = workers.stop()
            wrong = check(workers, caller.outcomes)
            if not set(codes) <= {0, 3}:  # 3: it still waits for the daemon that was killed last
                wrong.append(f"the workers ended with {codes}")
            daemon.stop()
            if wrong:
                wrong.append((folder / "workers.txt").read_text(errors="replace")[-3000:])
            return wrong, (
                f"{kills} kills, {transfers.complete} transfers ({transfers.refused} refused), "
                f"{len(caller.outcomes)} operations, {caller.sent_again} sent again by us, "
                f"{generation(workers)} saves, {time.monotonic() - began:.0f} s"
            )
        finally:
            caller.process.kill()
            workers.close()
            daemon.kill()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    wrong, summary = campaign(arguments.kills, arguments.seed, lambda text: print(text, flush=True))
    print(summary)
    for each in wrong:
        print(f"WRONG: {each}")
    print("balanced" if not wrong else "NOT balanced")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
