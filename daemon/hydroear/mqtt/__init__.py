"""The way to the control room: topics, payloads and the link to the broker.

Nothing is imported here: whoever only writes payloads needs no MQTT client.
"""
