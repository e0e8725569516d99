"""One module per platform. Adapters translate between a platform and a turn; they decide nothing."""
