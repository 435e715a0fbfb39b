"""Mouth motion independent of any head: its type, its extraction from footage, retargeting."""
