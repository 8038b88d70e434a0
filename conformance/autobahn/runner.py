"""Runs the ported cases one after the other against a server that echoes, and says what became of each."""

import collections
import sys

import txaio

txaio.use_twisted()

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol as Base, connectWS
from case import Cases
from octets import from_bytes, to_bytes
from twisted.internet import reactor

GOOD = ("OK", "NON-STRICT", "INFORMATIONAL")
verdicts = collections.OrderedDict()


class Fuzzing(Base):
    """The suite's protocol class: the cases call its methods, with octets."""

    createWirelog = False

    def connectionMade(self):
        Base.connectionMade(self)
        self.connectionWasOpen = False
        self.txFrameStats = collections.Counter()
        self.runCase = self.factory.Case(self)

    def onOpen(self):
        self.connectionWasOpen = True
        self.runCase.onOpen()

    def onMessage(self, payload, binary):
        self.runCase.onMessage(from_bytes(payload), binary)

    def onPing(self, payload):
        self.runCase.onPing(from_bytes(payload))
        self.sendPong(payload)

    def onPong(self, payload):
        self.runCase.onPong(from_bytes(payload))

    def onClose(self, clean, code, reason):
        self.runCase.onClose(clean, code, reason)

    def sendFrame(self, opcode, payload=b"", **options):
        self.txFrameStats[opcode] += 1
        Base.sendFrame(self, opcode, to_bytes(payload), **options)

    def sendMessage(self, payload, *args, **options):
        Base.sendMessage(self, to_bytes(payload), *args, **options)

    def sendPing(self, payload=None):
        Base.sendPing(self, to_bytes(payload))

    def sendPong(self, payload=None):
        Base.sendPong(self, to_bytes(payload))

    def sendCloseFrame(self, code=None, reasonUtf8=None, isReply=False):
        Base.sendCloseFrame(self, code, to_bytes(reasonUtf8), isReply)

    def sendMessageFrameData(self, payload, *args, **options):
        return Base.sendMessageFrameData(self, to_bytes(payload), *args, **options)

    def enableWirelog(self, _):
        pass

    def later(self, delay, what):
        reactor.callLater(delay, lambda: self.state != Base.STATE_CLOSED and what())

    def continueLater(self, delay, what, _tag=None):
        self.later(delay, what)

    def killAfter(self, delay):
        self.later(delay, self.failConnection)

    def closeAfter(self, delay):
        self.later(delay, self.sendClose)

    def connectionLost(self, reason):
        Base.connectionLost(self, reason)
        case, name = self.runCase, type(self.runCase).__name__
        case.onConnectionLost(self.failedByMe)
        verdicts[name] = (case.behavior, case.behaviorClose)
        good = case.behavior in GOOD and case.behaviorClose in GOOD
        print(name, *verdicts[name], "" if good else f"{case.result} {case.resultClose}", flush=True)
        reactor.callLater(0, proceed)


def proceed():
    if not todo:
        reactor.stop()
        return
    factory = WebSocketClientFactory(url, debug=False)
    factory.protocol, factory.Case = Fuzzing, todo.pop(0)
    factory.setProtocolOptions(failByDrop=False, version=18)
    factory.clientConnectionFailed = lambda *_: reactor.stop()
    connectWS(factory)


url, wanted = sys.argv[1], tuple(sys.argv[2:])
todo = [case for case in Cases if not wanted or case.__name__.startswith(wanted)]
expected = len(todo)
reactor.callLater(0, proceed)
reactor.run()
for verdict, count in collections.Counter(verdicts.values()).most_common():
    print(f"{count:4} {verdict[0]}, close {verdict[1]}")
failed = [name for name, both in verdicts.items() if not set(both) <= set(GOOD)]
print(f"{len(verdicts)} of {expected} cases run, {len(failed)} failed", *failed)
sys.exit(bool(failed) or len(verdicts) != expected)
