#!/usr/bin/python3
"""X9: servers that are consumers of each other: a source ends where it comes back to its own server."""
from harness.cascade import Node, add, cascade
from harness.case import Case, main
from harness.client import Consumer, connect, event, publish, subscribe_request
from harness.daemon import eventually
from harness.protos import v1

COUNT = 50


class Loops(Case):
    def ring(self, size):
        """Servers "0", "1", ...: each has the next one as an endpoint."""
        nodes = [Node() for _ in range(size)]
        for node in nodes:
            self.addCleanup(node.close)
            self._started.append(node.daemon)
        for number, node in enumerate(nodes):
            following = (number + 1) % size
            add(node.daemon, cascade(str(following), nodes[following].address))
        for node in nodes:
            eventually(lambda node=node: node.daemon.subscriptions(), "another server subscribes")
        return nodes

    def consumer(self, node):
        channel = connect(node.address)
        self.addCleanup(channel.close)
        return Consumer(channel, subscribe_request())

    def names(self, node):
        return {each.name for each in node.daemon.admin().ListProducers(v1.ListProducersRequest()).producers}

    def check(self, size):
        nodes = self.ring(size)
        consumers = [self.consumer(node) for node in nodes]
        for number, node in enumerate(nodes):
            publish(node.daemon.channel, f"of {number}", [event(i) for i in range(COUNT)])
        for number, consumer in enumerate(consumers):
            consumer.wait_events(COUNT * size)
            prefix = ""
            for distance in range(size):
                owner = (number + distance) % size
                prefix += f"{owner}/" if distance else ""
                self.assertEqual(consumer.received.numbers(f"{prefix}of {owner}"), list(range(COUNT)))
        # What comes back is noticed, and ends there.
        for node in nodes:
            eventually(lambda node=node: node.daemon.counters()["events.own"] >= COUNT, "events come back")
            publish(node.daemon.channel, "once more", [event(0)])
        for number, (node, consumer) in enumerate(zip(nodes, consumers)):
            consumer.wait_events(COUNT * size + size)
            longest = max(name.count("/") for name in self.names(node))
            self.assertEqual(longest, size - 1, self.names(node))
            self.assertEqual(len(consumer.received.events), COUNT * size + size)
            self.assertEqual(consumer.received.lost, [], f"at {number}")
            consumer.cancel()

    def test_x9_two_servers(self):
        self.check(2)

    def test_x9_three_servers_in_a_ring(self):
        self.check(3)


if __name__ == "__main__":
    main()
