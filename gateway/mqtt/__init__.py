"""MQTT 3.1.1 and 5 without sockets: a codec, and the server's and the client's side of a connection.

Section numbers in comments are those of the OASIS standards: 5 unless 3.1.1 is named.
"""
