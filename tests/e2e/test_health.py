#!/usr/bin/python3
"""grpc.health.v1.Health: Check, Watch and List, for orchestrators and load balancers."""
import grpc

from harness.case import Case, main
from harness.client import connect
from harness.daemon import PATIENCE
from harness.protos import health

SERVICES = ["", *(f"tributary.v1.{name}" for name in ("Publisher", "Subscriber", "Admin", "Batch"))]
SERVING, NOT_SERVING, UNKNOWN = 1, 2, 3


class Health(Case):
    def stub(self):
        return health.stub("Health", self.channel())

    def test_the_server_and_each_service_is_serving(self):
        stub = self.stub()
        for service in SERVICES:
            with self.subTest(service=service):
                self.assertEqual(stub.Check(health.HealthCheckRequest(service=service)).status, SERVING)

    def test_check_of_an_unknown_service_is_not_found(self):
        with self.assertFault(grpc.StatusCode.NOT_FOUND, "SERVICE_NOT_FOUND", contains=['"no.such.Service"']):
            self.stub().Check(health.HealthCheckRequest(service="no.such.Service"))

    def test_list_names_every_service(self):
        statuses = self.stub().List(health.HealthListRequest()).statuses
        for service in SERVICES:
            self.assertEqual(statuses[service].status, SERVING, service)

    def test_watch_sends_the_state_at_once(self):
        for service, status in (
            ("", SERVING),
            ("tributary.v1.Publisher", SERVING),
            ("no.such.Service", UNKNOWN),
        ):
            call = self.stub().Watch(health.HealthCheckRequest(service=service), timeout=PATIENCE)
            self.assertEqual(next(call).status, status)
            self.assertTrue(call.is_active(), "the stream stays open, for an unknown service too")
            call.cancel()

    def test_watchers_are_notified_of_the_drain(self):
        daemon = self.start_daemon()
        channel = connect(daemon.address)
        self.addCleanup(channel.close)
        stub = health.stub("Health", channel)
        calls = [
            stub.Watch(health.HealthCheckRequest(service=service), timeout=PATIENCE) for service in SERVICES
        ]
        for call in calls:
            self.assertEqual(next(call).status, SERVING)
        daemon.terminate()
        for call in calls:
            self.assertEqual(next(call).status, NOT_SERVING)
        channel.close()
        self.assertEqual(daemon.wait(), 0)


if __name__ == "__main__":
    main()
