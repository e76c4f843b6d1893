"""Connections of devices: accepted with care, spoken to in MQTT, one session a device."""
