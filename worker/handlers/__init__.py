"""One async function per message type; what they need comes in as ports."""
