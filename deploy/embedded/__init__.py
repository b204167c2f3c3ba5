"""PostgreSQL, Valkey, Apache Kafka and a mailbox as supervised local processes.

For trying Scrip out and for its tests: real servers, brought by Python wheels and (Kafka's jars) fetched once, on free
ports of the loopback interface, with all data under one folder. No Docker, no account, nothing installed. They are not
meant for production: one node each, and Kafka is open to everyone who can log in to the machine.
"""
