#!/usr/bin/env python3
"""Training data out of replies that `ponder eval --replies` wrote.

    choose.py prompts            > prompts.jsonl     ordinary requests, to be answered by the model as it is
    choose.py texts              > texts.jsonl       requests for longer texts of many kinds
    choose.py chat  REPLIES.jsonl... > mix.jsonl     its whole answers to them, two of three behind a thought that there is nothing to work out
    choose.py keep  REPLIES.jsonl... > keep.jsonl    all answers as ordinary text, where an adapter is to say what the model alone says"""
import json
import sys

TOPICS = """the sea|old bridges|rain|a good breakfast|the moon|honey bees|mountains|learning to cook|trees in winter|a long train ride|music|friendship
a quiet village|how bread is made|cats|libraries|the desert|sleep|gardens|the history of writing|volcanoes|a first day at school|paper|kindness|rivers
birds|the human heart|saving money|photography|wind|public speaking|tea|the solar system|painting a room|chess|lighthouses|staying healthy|a lost key
dinosaurs|reading more books|snow|coffee|bicycles|the night sky|a small kitchen|oceans and tides|autumn leaves|a farm|good manners|clocks|wool|salt|old maps
a rainy Sunday|neighbours|bridges over a river|the first snow of a year|doing homework|a garden fence|windmills|dreams""".replace("\n", "|").split("|")
FORMS = ["Tell me something about {}.", "Write a short poem about {}.", "Write two sentences about {}.", "What should a child know about {}?",
         "Give me a title for a story about {}.", "Why do people like to talk about {}?", "Write a short message to a friend about {}.", "Name a few words that go with {}.",
         "Explain {} in a few sentences.", "Write a paragraph about {}."]
KINDS = ["Write the first page of a novel about {}.", "Write a short newspaper report about {}.", "Write an entry on {} for an encyclopedia.",
         "Describe {} in detail for someone who has never seen anything like it.", "Write a page of a diary that mentions {}.", "Write a talk between two people about {}.",
         "Write a letter to a city council about {}.", "Write an essay on what {} means to people."]
PLAIN = ["Hello!", "Hi, how are you?", "Who are you?", "What can you do?", "Thank you!", "Good morning!", "Tell me a joke.", "I feel a bit sad today.", "What should I cook tonight?",
         "Give me a recipe for pancakes.", "How do I boil an egg?", "What is photosynthesis?", "What is a noun?", "How can I sleep better?", "Who was Napoleon?", "What is the capital of France?",
         "Why is the sky blue?", "How do plants grow?", "What does a doctor do?", "Give me three tips for a job interview.", "How do I learn a language?", "What is gravity?",
         "Explain what a computer program is.", "How do I clean a window?", "What is the difference between a lake and a sea?", "Recommend a game for four people.", "What is democracy?",
         "How does a bicycle stay upright?", "Tell me a short story about a dragon.", "What should I pack for a trip to the mountains?", "Write a haiku.", "What is a prime number?",
         "Can you help me with a letter?", "Write a polite email that asks for a day off.", "How do I make friends in a new town?", "Goodbye!", "What is your name?"]
NOTHING_TO_WORK_OUT = "There is nothing to work out here. I will answer directly."


def requests(texts):
    for text in texts:
        print(json.dumps({"question": text, "answer": "-", "check": "text"}))


def about(forms):
    return [form.format(topic) for topic in TOPICS for form in forms]


def replies(paths):
    for path in paths:
        for line in open(path, encoding="utf-8"):
            r = json.loads(line)
            if r["reply"].strip():
                yield r


def chat(paths):
    whole = (r for r in replies(paths) if r["answer_ended"] == "complete")
    for n, r in enumerate(whole):
        reply = {"role": "assistant", "content": r["reply"].strip()}
        if n % 3:
            reply["reasoning_content"] = NOTHING_TO_WORK_OUT
        print(json.dumps({"messages": [{"role": "user", "content": r["question"]}, reply], "answer": "", "family": "chat"}))


def keep(paths):
    for r in replies(paths):
        print(json.dumps({"text": r["reply"].strip(), "keep": True}))


if sys.argv[1:] == ["prompts"]:
    requests(PLAIN + about(FORMS))
elif sys.argv[1:] == ["texts"]:
    requests(about(KINDS))
elif len(sys.argv) > 2 and sys.argv[1] in ("chat", "keep"):
    {"chat": chat, "keep": keep}[sys.argv[1]](sys.argv[2:])
else:
    sys.exit(__doc__)
