"""What is forked while gRPC is at work lives: Dagster's processes are at work by gRPC all the time.

Red with grpcio 1.85.1: of a hundred children one to eight died before they were what they were to be
(https://github.com/grpc/grpc/issues/43055).
"""

import subprocess
import sys

CHILDREN = 100
SCRIPT = """
import subprocess, sys, threading
from concurrent import futures
import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

if sys.argv[1] == "serve":
    server = grpc.server(futures.ThreadPoolExecutor(8))
    health_pb2_grpc.add_HealthServicer_to_server(health.HealthServicer(), server)
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    sys.exit(sys.stdin.read())  # as long as whoever started it is there

over, answered = threading.Event(), []

def talk():
    while not over.is_set():
        with grpc.insecure_channel("127.0.0.1:" + sys.argv[2]) as channel:
            for _ in range(3):
                try:
                    health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=1)
                    answered.append(1)
                except grpc.RpcError:
                    pass

talkers = [threading.Thread(target=talk) for _ in range(4)]
for talker in talkers:
    talker.start()
forked = [subprocess.run(["true"], preexec_fn=int).returncode for _ in range(int(sys.argv[1]))]
over.set()
for talker in talkers:
    talker.join()
print(len(answered), *forked)
"""


def test_what_is_forked_while_grpc_is_at_work_lives() -> None:
    script = [sys.executable, "-c", SCRIPT]
    with subprocess.Popen([*script, "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin and server.stdout
        port = server.stdout.readline().strip()
        talked = [*script, str(CHILDREN), port]
        told = subprocess.run(talked, capture_output=True, text=True, check=True, timeout=120)
        server.stdin.close()
    answered, *codes = map(int, told.stdout.split())
    assert codes == [0] * CHILDREN, f"{sum(map(bool, codes))} died"
    assert answered > CHILDREN / 4, "it was not at work"
