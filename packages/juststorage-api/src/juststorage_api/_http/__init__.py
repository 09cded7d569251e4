"""HTTP as pure functions: bytes in, values or refusals out. Nothing awaits or knows storage."""
