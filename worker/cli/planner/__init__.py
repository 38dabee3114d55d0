"""Parts of `sms-worker plan`: its options, flags, history, data and views."""
