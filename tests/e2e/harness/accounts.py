#!/usr/bin/python3
"""accounts.py - a processor for `tributary batch work`: each key is an account. The resource is
{"balance", "count"}; an operation is an amount. One that would make the balance negative fails.

The result is the number of the operation on its account: two with one number, or a number that is
missing, prove an operation that was run twice, or lost. With an argument it handles one line after
another (--keep)."""
import json
import sys

START = 1000


def handle(batch):
    account = json.loads(batch["resource"] or f'{{"balance": {START}, "count": 0}}')
    results = []
    for operation in batch["operations"]:
        amount = int(operation["data"])
        if account["balance"] + amount < 0:
            results.append({"error": {"code": "FAILED_PRECONDITION", "message": "there is not enough"}})
            continue
        account["balance"] += amount
        account["count"] += 1
        results.append({"data": str(account["count"])})
    return {"resource": account, "results": results}


if __name__ == "__main__" and len(sys.argv) > 1:
    for line in sys.stdin:
        print(json.dumps(handle(json.loads(line))), flush=True)
elif __name__ == "__main__":
    json.dump(handle(json.load(sys.stdin)), sys.stdout)
