"""The pocket preset's training data: pictures with words out of ordinary packages, one module a source."""
