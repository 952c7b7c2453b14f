#!/usr/bin/env python3
"""What guessing ahead brings on replies that repeat their own thoughts: a Markdown table of seconds a reply with and without, in turns.

usage: guesses.py PONDER MODEL [--runs 2]
The text must be the same either way; exit code 1 where it is not."""
import argparse
import json
import statistics
import subprocess
import sys

QUESTIONS = {
    "a function in C": "Write a C function that reverses a singly linked list. First draft the whole function in your thoughts, then give it as the answer.",
    "two functions in Python": "Write a Python function is_prime(n) and a function primes_below(n) that uses it. Draft the full code in your thoughts, check it, "
                               "then repeat the code as the answer.",
    "a schema in SQL": "Write a SQL schema with tables authors, books and loans, each with a primary key and foreign keys. Draft it in your thoughts and then repeat it as the answer.",
}


def reply(ponder, model, question, speculate):
    done = subprocess.run([ponder, "ask", "-m", model, "--private", "--seed", "7", "--budget", "350", "--answer-max", "300", "--threads", "2",
                           "--speculate", speculate, "--json", question], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        sys.exit(f"guesses: exit {done.returncode}: {done.stderr.strip()[-300:]}")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    text = "".join(e.get("text", "") for e in events if e["event"] in ("thought", "answer"))
    return text, events[-1]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("ponder")
    parser.add_argument("model")
    parser.add_argument("--runs", type=int, default=2)
    o = parser.parse_args()
    print("| reply | tokens | without, tok/s | with | gain | guessed | right |\n|---|---:|---:|---:|---:|---:|---:|")
    for name, question in QUESTIONS.items():
        speed, texts, end = {"off": [], "on": []}, set(), {}
        for run in range(o.runs):
            for way in ("off", "on") if run % 2 == 0 else ("on", "off"):
                text, end[way] = reply(o.ponder, o.model, question, way)
                texts.add(text)
                speed[way].append(end[way]["tokens_per_s"])
        if len(texts) != 1:
            sys.exit(f"guesses: {name}: the text differs")
        off, on = statistics.median(speed["off"]), statistics.median(speed["on"])
        tokens = end["on"]["thought_tokens"] + end["on"]["answer_tokens"]
        print(f"| {name} | {tokens} | {off:.1f} | {on:.1f} | {on / off:.2f}× | {end['on']['drafted']} | {end['on']['accepted']} |", flush=True)


main()
