"""What is remembered: SQLAlchemy tables, attachments as files, and the only code that touches them."""

from bot.store.records import AnswerRecord, RememberedTurn, StoredPicture, StoredTurn, StoredVoice
from bot.store.store import Store

__all__ = ["AnswerRecord", "RememberedTurn", "Store", "StoredPicture", "StoredTurn", "StoredVoice"]
