"""Device access: MQTT and HTTP. What a device is told "got it" for is on the stream."""
