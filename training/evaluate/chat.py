"""Plain chat, before and after an adapter: what it must not touch."""

from __future__ import annotations

QUESTIONS = (
    "Hello! How are you today?",
    "What is the capital of France?",
    "What is 17 plus 25?",
    "Explain photosynthesis in one sentence.",
    "Write a Python function that reverses a string.",
    "Who wrote Romeo and Juliet?",
    "How do you say good morning in Spanish?",
    "Is 7 a prime number?",
    "Give me a recipe for boiled eggs.",
    "Summarise: The cat sat on the mat. It was warm. The cat fell asleep.",
    "Tell me a joke.",
    "What can you see in a photo that I have not sent?",
)
MAX_TOKENS = 96
