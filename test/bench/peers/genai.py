"""onnxruntime-genai on the same ONNX file; speaks as peer.ts does."""

import json
import os
import resource
import sys
import time

import numpy as np
import onnxruntime_genai as og


class Peer:
    def __init__(self, settings):
        config = og.Config(settings["model"])
        config.overlay(json.dumps({"model": {"decoder": {"session_options": {"intra_op_num_threads": settings["threads"]}}}}))
        self.model = og.Model(config)
        self.settings = settings
        self.generator = None
        self.prompt = 0

    def prefill(self, tokens):
        limit = min(self.settings["vocab"] - 8, 50_000)
        prompt = np.array([(at * 7919 + 13) % limit for at in range(tokens)], dtype=np.int32)
        self.generator = None
        params = og.GeneratorParams(self.model)
        params.set_search_options(do_sample=False, max_length=self.settings["context"])
        self.prompt = tokens
        start = time.perf_counter()
        self.generator = og.Generator(self.model, params)
        self.generator.append_tokens(prompt)
        self.generator.generate_next_token()
        return (time.perf_counter() - start) * 1000

    def decode(self, context, steps):
        if self.prompt != context:
            self.prefill(context)
        self.generator.rewind_to(context)
        # What follows an appended token needs no run of the model; only the tokens after it are steps.
        self.generator.append_tokens(np.array([17], dtype=np.int32))
        self.generator.generate_next_token()
        start = time.perf_counter()
        for _ in range(steps):
            self.generator.generate_next_token()
        return (time.perf_counter() - start) * 1000


def usage():
    spent = resource.getrusage(resource.RUSAGE_SELF)
    return {"peakBytes": spent.ru_maxrss * 1024, "cpuMs": (spent.ru_utime + spent.ru_stime) * 1000}


def execute(peer, command):
    if command["do"] == "prefill":
        return {"ms": peer.prefill(command["tokens"])}
    if command["do"] == "decode":
        return {"ms": peer.decode(command["context"], command["steps"])}
    return usage()


def main():
    answers = os.fdopen(3, "w", buffering=1)
    try:
        peer = Peer(json.loads(sys.argv[1]))
        for line in sys.stdin:
            answers.write(json.dumps(execute(peer, json.loads(line))) + "\n")
    except Exception as error:
        answers.write(json.dumps({"error": repr(error)}) + "\n")
    os._exit(0)


main()
