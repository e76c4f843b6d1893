"""From a message's payload to records on the stream, and from the stream's answer to the device's."""
