"""The stored topics of fake_server.py: publishers have numbers, and the disk and the connection fail.

The name of a producer is `store-FAULTS-SEED`. FAULTS are letters; where one is given, a batch now
and then suffers that fault:

    r  it is refused, in each attempt: EVENT_TOO_LARGE
    l  the call is lost before the batch was stored
    s  the call is lost after the batch was stored
    d  the call is lost, and what was under way is stored, or refused, a moment later
    u  STORE_UNKNOWN, stored or not, and STORE_FAILED until the call ends
    f  the server forgets the publisher before the batch
    x  a higher life of the publisher is there

A subscription of that name gets, once nothing is under way any more, what was stored, and then an
event whose data is -1.
"""

import collections, queue, random, threading

import grpc
from tributary.v1 import event_pb2, publisher_pb2

OK, INVALID_ARGUMENT, FAILED_PRECONDITION, ABORTED, INTERNAL = 0, 3, 9, 10, 13
FAULT_EVERY = 6


class Store:
    def __init__(self):
        self.lock = threading.Lock()
        self.settled = threading.Condition(self.lock)
        self.late = 0
        self.stored = collections.defaultdict(list)
        self.publishers = {}  # (producer, id): [life, last]
        self.randoms = {}

    def fault(self, name):
        with self.lock:
            random_of = self.randoms.setdefault(name, random.Random(name))
            letters = name.split("-")[1].replace("r", "")
            return random_of.choice(letters) if letters and random_of.randrange(FAULT_EVERY) == 0 else ""

    def keep(self, name, events):
        self.stored[name] += events
        return len(self.stored[name])

    def read(self, name):
        with self.lock:
            self.settled.wait_for(lambda: self.late == 0)
            events = self.stored[name] + [event_pb2.Event(data=b"-1")]
        run = event_pb2.Run(events=events, source="@t", epoch=7, first_sequence=1)
        yield event_pb2.EventBatch(started=event_pb2.Started(subscription_id="stored"))
        yield event_pb2.EventBatch(runs=[run])

    def refuses(self, name, request):
        content = random.Random(name + repr(request.events[0].data))
        return "r" in name.split("-")[1] and content.randrange(2 * FAULT_EVERY) == 0

    def append(self, name, request):
        """Returns (code, reason, range, duplicates)."""
        if self.refuses(name, request):
            return INVALID_ARGUMENT, "EVENT_TOO_LARGE", None, 0
        numbers = request.publisher
        with self.lock:
            if not numbers.id:
                last = self.keep(name, request.events)
                return OK, "", (last - len(request.events) + 1, last), 0
            key = (name, numbers.id)
            known = self.publishers.get(key)
            if known is None and numbers.first_number != 1:
                return FAILED_PRECONDITION, "PUBLISHER_UNKNOWN", None, 0
            if known is None or numbers.life > known[0]:
                known = self.publishers[key] = [numbers.life, numbers.first_number - 1]
            if numbers.life < known[0]:
                return ABORTED, "PUBLISHER_FENCED", None, 0
            if numbers.first_number > known[1] + 1:
                return FAILED_PRECONDITION, "NUMBER_GAP", None, 0
            duplicates = min(known[1] + 1 - numbers.first_number, len(request.events))
            new = list(request.events)[duplicates:]
            known[1] += len(new)
            if not new:
                return OK, "", None, duplicates
            last = self.keep(name, new)
            return OK, "", (last - len(new) + 1, last), duplicates

    def lose(self, name, late, context):
        def store_late():
            for each in late:
                self.append(name, each)
            with self.lock:
                self.late -= 1
                self.settled.notify_all()

        if late:
            with self.lock:
                self.late += 1
            threading.Timer(0.15, store_late).start()
        context.abort(grpc.StatusCode.UNAVAILABLE, "lost on purpose")

    def suffer(self, fault, name, request):
        with self.lock:
            known = self.publishers.get((name, request.publisher.id))
            if fault == "f":
                self.publishers.pop((name, request.publisher.id), None)
            elif fault == "x" and known:
                known[0] += 10**18

    def still_coming(self, arrived, count):
        late = []
        try:
            for _ in range(count):
                late.append(arrived.get(timeout=0.02))
        except queue.Empty:
            pass
        return [each for each in late if each]

    def stream(self, name, requests, context):
        number, failed, duplicates = 0, False, 0
        arrived = queue.SimpleQueue()

        def receive():
            try:
                for each in requests:
                    arrived.put(each)
            except grpc.RpcError:
                pass
            arrived.put(None)

        threading.Thread(target=receive, daemon=True).start()
        for request in iter(arrived.get, None):
            number += 1
            fault = self.fault(name)
            self.suffer(fault, name, request)
            if fault == "l":
                self.lose(name, [], context)
            if fault == "d":
                self.lose(name, [request] + self.still_coming(arrived, number % 3), context)
            answer = publisher_pb2.PublishStreamResponse(confirmed_batch=number)
            code, reason, stored, twice = (
                (FAILED_PRECONDITION, "STORE_FAILED", None, 0)
                if failed
                else (None, "", None, 0)
            )
            if code is None and fault == "u":
                failed = True
                if number % 2:
                    self.append(name, request)
                code, reason = INTERNAL, "STORE_UNKNOWN"
            elif code is None:
                code, reason, stored, twice = self.append(name, request)
            if fault == "s":
                self.lose(name, [], context)
            duplicates += twice
            answer.duplicates = duplicates
            if code != OK:
                answer.refused.add(batch=number, code=code, message="on purpose", reason=reason)
            if stored:
                answer.ranges.add(topic="t", epoch=7, first_sequence=stored[0], last_sequence=stored[1])
            yield answer
