"""Admins retrain from chat: what was taught is written out, a process of its own trains and judges, and an admin decides."""

from bot.retraining.retrainings import Retrainings
from bot.retraining.taking_turns import TakingTurns
from bot.retraining.trainer import NoRoom, ProcessTrainer, Trainer, TrainerError

__all__ = ["NoRoom", "ProcessTrainer", "Retrainings", "TakingTurns", "Trainer", "TrainerError"]
