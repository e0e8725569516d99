"""Admins retrain from chat: what was taught is written out, a process of its own trains and judges, and an admin decides."""

from bot.retraining.retrainings import Retrainings
from bot.retraining.trainer import ProcessTrainer, Trainer, TrainerError

__all__ = ["ProcessTrainer", "Retrainings", "Trainer", "TrainerError"]
