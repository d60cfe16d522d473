"""The protocols: from cases and what the contenders made of them to figures with intervals."""
