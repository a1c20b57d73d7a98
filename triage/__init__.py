"""Judgement: how bad, whose, and why."""
