"""The handlers: one async function per message type. They get what they need as ports."""
