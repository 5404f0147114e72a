"""Stored topics: a daemon with a folder of its own, which a test may stop, kill and start again."""
import os
import shutil
import tempfile

from .case import Case
from .daemon import PATIENCE
from .protos import v1


class TopicsCase(Case):
    shared_daemon = False

    def setUp(self):
        super().setUp()
        self.folder = tempfile.mkdtemp(prefix="tributary-topics-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.state = os.path.join(self.folder, "state")
        self.daemon = None

    def start(self, *arguments, **options):
        self.daemon = self.start_daemon("--state-dir", self.state, *arguments, **options)
        return self.daemon

    def restart(self, *arguments, **options):
        """After SIGTERM."""
        self.daemon.stop()
        return self.start(*arguments, **options)

    def kill_and_start(self, *arguments, **options):
        """After kill -9."""
        self.daemon.kill()
        return self.start(*arguments, **options)

    def admin(self):
        return self.daemon.admin()

    def create(self, name, **settings):
        request = v1.CreateTopicRequest(name=name, settings=v1.TopicSettings(**settings))
        return self.admin().CreateTopic(request, timeout=PATIENCE)

    def update(self, name, **settings):
        request = v1.UpdateTopicRequest(name=name, settings=v1.TopicSettings(**settings))
        return self.admin().UpdateTopic(request, timeout=PATIENCE)

    def delete(self, name, epoch=0):
        request = v1.DeleteTopicRequest(name=name, epoch=epoch)
        return self.admin().DeleteTopic(request, timeout=PATIENCE)

    def topic(self, name):
        return self.admin().GetTopic(v1.GetTopicRequest(name=name), timeout=PATIENCE)

    def topics(self, pattern="", page_size=0):
        """All topics, page by page."""
        found, token = [], ""
        while True:
            request = v1.ListTopicsRequest(name=pattern, page_size=page_size, page_token=token)
            answer = self.admin().ListTopics(request, timeout=PATIENCE)
            found += answer.topics
            token = answer.next_page_token
            if not token:
                return found

    def names(self, pattern="", page_size=0):
        return [each.name for each in self.topics(pattern, page_size)]
