"""The HTTP side: discovery and calls, policies, health. Everything here is thin; judging happens below."""
