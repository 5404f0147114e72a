"""What the tests of endpoints have in common: upstreams, and consumers' states and data."""
import grpc

from .case import Case
from .client import event
from .daemon import eventually
from .protos import duration, message_class, v1
from .sessions import WithSessions
from .upstreams import Upstream, endpoint

CONNECTING, ACTIVE, UNAVAILABLE, ENDED, REMOVED, IDLE = (
    v1.PRODUCER_STATE_CONNECTING,
    v1.PRODUCER_STATE_ACTIVE,
    v1.PRODUCER_STATE_UNAVAILABLE,
    v1.PRODUCER_STATE_ENDED,
    v1.PRODUCER_STATE_REMOVED,
    v1.PRODUCER_STATE_IDLE,
)
ENDPOINT = message_class("tributary.v1.Endpoint")
PRODUCER = message_class("tributary.v1.Producer")
FAILURE = message_class("tributary.v1.Producer.Failure")
ADD = v1.AddProducerRequest
CONTROL, RUN = message_class("tributary.v1.ProduceControl"), message_class("tributary.v1.Run")


def numbered(numbers, size=0):
    """Messages of an endpoint that is RAW: each is the data of one event."""
    return [event(number, size=size).data for number in numbers]


def batch(*numbers):
    """A message of Upstream.Produce."""
    runs = [RUN(events=[event(number) for number in numbers], source="inner")]
    return v1.EventBatch(runs=runs).SerializeToString()


class WithUpstreams(Case):
    def upstream(self, **options):
        upstream = Upstream(**options)
        self.addCleanup(upstream.stop)
        return upstream

    def add(self, name, address, on_duplicate=0, **fields):
        added = self.daemon.admin().AddProducer(
            ADD(endpoint=endpoint(name, address, **fields), on_duplicate=on_duplicate)
        )
        self.addCleanup(self.remove, name)
        return added

    def remove(self, name, mode=v1.RemoveProducerRequest.CANCEL, deadline=None):
        request = v1.RemoveProducerRequest(name=name, mode=mode)
        if deadline is not None:
            request.deadline.CopyFrom(duration(deadline))
        try:
            return self.daemon.admin().RemoveProducer(request)
        except grpc.RpcError:
            return None

    def states(self, consumer, source):
        return [state.state for state in consumer.received.states if state.source == source]

    def wait_state(self, consumer, source, state):
        consumer.wait(lambda: state in self.states(consumer, source), f"state {state} of {source}")

    def datas(self, consumer, source):
        return [each.data for name, _, _, each in consumer.received.events if name == source]

    def wait_datas(self, consumer, source, expected):
        consumer.wait(lambda: len(self.datas(consumer, source)) >= len(expected), f"{expected} of {source}")
        self.assertEqual(self.datas(consumer, source), expected)


class Endpoints(WithUpstreams, WithSessions):
    """Endpoints beside sessions and steered consumers. remove() is that of WithUpstreams."""

    def served(self, name, options=None, **fields):
        """An endpoint with an upstream of its own."""
        upstream = self.upstream(**(options or {}))
        self.add(name, upstream.address, **fields)
        return upstream

    def native(self, name):
        return self.served(name, method="")

    def control(self, call, number, kind):
        """Waits for a control message of Upstream.Produce."""
        eventually(lambda: len(call.requests) > number, f"control message {number}")
        message = CONTROL.FromString(call.requests[number])
        self.assertEqual(message.WhichOneof("control"), kind, message)
        return getattr(message, kind)

    def published(self, name, count):
        eventually(lambda: self.daemon.producer(name).published.events >= count, f"{count} events of {name}")

    def state_at_last(self, consumer, source, state):
        consumer.wait(lambda: self.states(consumer, source)[-1:] == [state], f"{source} is in state {state}")
