/** Faulty configurations and every line that is said about them. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { load, texts } from './config-support.js';

interface BrokenConfig {
  readonly name: string;
  readonly text: string | Uint8Array;
  readonly lines: readonly string[];
}

const brokenConfigs: readonly BrokenConfig[] = [
  {
    name: 'unknown option',
    text: 'persistance true\n',
    lines: [
      "Error: Unknown configuration variable 'persistance'.",
      'Error found at mosquitto.conf:1.',
      "'persistance' is not the name of an option; did you mean 'persistence'?",
    ],
  },
  {
    name: 'unknown option nothing is close to',
    text: 'frobnicate 7\n',
    lines: [
      "Error: Unknown configuration variable 'frobnicate'.",
      'Error found at mosquitto.conf:1.',
      "'frobnicate' is not the name of an option.",
    ],
  },
  {
    name: 'a file in UTF-16',
    text: Buffer.from('\ufefflistener 1883\nallow_anonymous true\n', 'utf16le'),
    lines: [
      "Error: Config file 'mosquitto.conf' is in UTF-16.",
      "It has to be in UTF-8: iconv -f UTF-16 -t UTF-8 'mosquitto.conf' writes it so.",
    ],
  },
  {
    name: 'option in capitals',
    text: 'Listener 1883\n',
    lines: [
      "Error: Unknown configuration variable 'Listener'.",
      'Error found at mosquitto.conf:1.',
      "'Listener' is not the name of an option; did you mean 'listener'?",
    ],
  },
  {
    name: 'TAB after the name',
    text: 'listener\t1883\n',
    lines: [
      "Error: Unknown configuration variable 'listener\t1883'.",
      'Error found at mosquitto.conf:1.',
      "A TAB is no space: write 'listener VALUE' with spaces only.",
    ],
  },
  {
    name: 'TAB before the name',
    text: '\tlistener 1883\n',
    lines: [
      "Error: Unknown configuration variable '\tlistener'.",
      'Error found at mosquitto.conf:1.',
      "A TAB is no space: write 'listener VALUE' with spaces only.",
    ],
  },
  {
    name: 'equals sign',
    text: 'sys_interval=10\n',
    lines: [
      "Error: Unknown configuration variable 'sys_interval=10'.",
      'Error found at mosquitto.conf:1.',
      "A space separates name and value: write 'sys_interval VALUE'.",
    ],
  },
  {
    name: 'indented comment',
    text: '  # a comment\n',
    lines: [
      "Error: Unknown configuration variable '#'.",
      'Error found at mosquitto.conf:1.',
      "A comment has '#' as the first character of its line.",
    ],
  },
  {
    name: 'byte order mark',
    text: '\ufefflistener 1883\n',
    lines: [
      "Error: Unknown configuration variable '﻿listener'.",
      'Error found at mosquitto.conf:1.',
      'The file begins with a byte order mark; it must be UTF-8 without one.',
    ],
  },
  {
    name: 'bool: another word',
    text: 'persistence yes\n',
    lines: [
      "Error: Invalid 'persistence' value (yes).",
      'Error found at mosquitto.conf:1.',
      "'yes' is not allowed: 'persistence' takes true or false. Did you mean 'true'?",
    ],
  },
  {
    name: 'bool: nothing',
    text: 'listener 8883\nrequire_certificate\n',
    lines: [
      "Error: Empty 'require_certificate' value in configuration.",
      'Error found at mosquitto.conf:2.',
      "The value is missing: 'require_certificate' takes true or false.",
    ],
  },
  {
    name: 'bool: TAB after the value',
    text: 'persistence true\t\n',
    lines: [
      "Error: Invalid 'persistence' value (true\t).",
      'Error found at mosquitto.conf:1.',
      "'true\t' is not allowed: 'persistence' takes true or false. Did you mean 'true'?",
    ],
  },
  {
    name: 'int: text',
    text: 'max_queued_messages many\n',
    lines: [
      "Error: 'max_queued_messages' value not a number.",
      'Error found at mosquitto.conf:1.',
      "'many' is not allowed: 'max_queued_messages' takes a whole number.",
    ],
  },
  {
    name: 'int: number and text',
    text: 'sys_interval 10s\n',
    lines: [
      "Error: 'sys_interval' value not a number.",
      'Error found at mosquitto.conf:1.',
      "'10s' is not allowed: 'sys_interval' takes a whole number from 0 to 65535.",
    ],
  },
  {
    name: 'int: no octal digit',
    text: 'sys_interval 08\n',
    lines: [
      "Error: 'sys_interval' value not a number.",
      'Error found at mosquitto.conf:1.',
      "'08' is not allowed: 'sys_interval' takes a whole number from 0 to 65535.",
    ],
  },
  {
    name: 'int: more than 32 bits',
    text: 'max_packet_size 4294967296\n',
    lines: [
      "Error: 'max_packet_size' value out of range.",
      'Error found at mosquitto.conf:1.',
      "'4294967296' is not allowed: 'max_packet_size' takes a whole number from 20. The largest number is 2147483647.",
    ],
  },
  {
    name: 'int: too large',
    text: 'max_keepalive 65536\n',
    lines: [
      "Error: Invalid 'max_keepalive' value (65536).",
      'Error found at mosquitto.conf:1.',
      "'65536' is not allowed: 'max_keepalive' takes a whole number from 0 to 65535.",
    ],
  },
  {
    name: 'int: too small',
    text: 'max_packet_size 19\n',
    lines: [
      "Error: 'max_packet_size' must be >= 20.",
      'Error found at mosquitto.conf:1.',
      "'19' is not allowed: 'max_packet_size' takes a whole number from 20.",
    ],
  },
  {
    name: 'int: too large, own words',
    text: 'max_inflight_messages 65536\n',
    lines: [
      "Error: 'max_inflight_messages' must be <= 65535.",
      'Error found at mosquitto.conf:1.',
      "'65536' is not allowed: 'max_inflight_messages' takes a whole number up to 65535.",
    ],
  },
  {
    name: 'log_facility',
    text: 'log_facility 8\n',
    lines: [
      "Error: Invalid 'log_facility' value (8).",
      'Error found at mosquitto.conf:1.',
      "'8' is not allowed: 'log_facility' takes a whole number from 0 to 7.",
    ],
  },
  {
    name: 'message_size_limit',
    text: 'message_size_limit -1\n',
    lines: [
      'Note: It is recommended to replace `message_size_limit` with `max_packet_size`.',
      "Error: Invalid 'message_size_limit' value (-1).",
      'Error found at mosquitto.conf:1.',
      "'-1' is not allowed: 'message_size_limit' takes a whole number from 0 to 268435455.",
    ],
  },
  {
    name: 'memory_limit',
    text: 'memory_limit -1\n',
    lines: [
      "Error: Invalid 'memory_limit' value (-1).",
      'Error found at mosquitto.conf:1.',
      "'-1' is not allowed: 'memory_limit' takes auto or bytes from 0.",
    ],
  },
  {
    name: 'packet_buffer_size',
    text: 'websockets_headers_size 70000\n',
    lines: [
      'Error: Packet buffer size must be between 0 and 65535 inclusive.',
      'Error found at mosquitto.conf:1.',
      "'70000' is not allowed: 'websockets_headers_size' takes a whole number from 0 to 65535.",
    ],
  },
  {
    name: 'retain_expiry_interval',
    text: 'retain_expiry_interval 0\n',
    lines: [
      'Error: retain_expiry_interval must be >= 1.',
      'Error found at mosquitto.conf:1.',
      "'0' is not allowed: 'retain_expiry_interval' takes a whole number from 1.",
    ],
  },
  {
    name: 'enum: another word',
    text: 'listener 8883\nprotocol websocket\n',
    lines: [
      "Error: Invalid 'protocol' value (websocket).",
      'Error found at mosquitto.conf:2.',
      "'websocket' is not allowed: 'protocol' takes mqtt, websockets or http_api. Did you mean 'websockets'?",
    ],
  },
  {
    name: 'enum: own words',
    text: 'listener 8883\nsocket_domain ipv5\n',
    lines: [
      "Error: Invalid 'socket_domain' value 'ipv5' in configuration.",
      'Error found at mosquitto.conf:2.',
      "'ipv5' is not allowed: 'socket_domain' takes ipv4 or ipv6. Did you mean 'ipv4'?",
    ],
  },
  {
    name: 'tls_version',
    text: 'listener 8883\ntls_version tlsv1\n',
    lines: [
      'Error: Unsupported tls_version "tlsv1".',
      'Error found at mosquitto.conf:2.',
      "'tlsv1' is not allowed: 'tls_version' takes tlsv1.3, tlsv1.2 or tlsv1.1.",
    ],
  },
  {
    name: 'string: nothing',
    text: 'pid_file   \n',
    lines: [
      "Error: Empty 'pid_file' value in configuration.",
      'Error found at mosquitto.conf:1.',
      "The value is missing: 'pid_file' takes FILE.",
    ],
  },
  {
    name: 'string: not UTF-8',
    text: Buffer.from('pid_file /run/caf\xe9.pid\n', 'latin1'),
    lines: [
      'Error: Malformed UTF-8 in configuration.',
      'Error found at mosquitto.conf:1.',
      "The value of 'pid_file' must be UTF-8 without control characters (a TAB is one).",
    ],
  },
  {
    name: 'string: twice',
    text: 'pid_file /run/a.pid\npid_file /run/b.pid\n',
    lines: [
      "Error: Duplicate 'pid_file' value in configuration.",
      'Error found at mosquitto.conf:2.',
      "'pid_file' may be given once, and is at mosquitto.conf:1 already.",
    ],
  },
  {
    name: 'auto_id_prefix too long',
    text: 'auto_id_prefix xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n',
    lines: [
      "The 'auto_id_prefix' option is now deprecated and will be removed in version 3.0. Use 'listener_auto_id_prefix' instead.",
      'Error: auto_id_prefix length must be <= 50.',
      'Error found at mosquitto.conf:1.',
      "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' is 51 bytes long: 'auto_id_prefix' takes PREFIX of at most 50 bytes.",
    ],
  },
  {
    name: 'listener_auto_id_prefix too long',
    text: 'listener 8883\nlistener_auto_id_prefix xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n',
    lines: [
      "Error: 'listener_auto_id_prefix' length must be <= 50.",
      'Error found at mosquitto.conf:2.',
      "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' is 51 bytes long: 'listener_auto_id_prefix' takes PREFIX of at most 50 bytes.",
    ],
  },
  {
    name: 'mount_point with a wildcard',
    text: 'listener 8883\nmount_point home/+/\n',
    lines: [
      "Error: Invalid 'mount_point' value (home/+/). Does it contain a wildcard character?",
      'Error found at mosquitto.conf:2.',
      "'home/+/' is put before topics, which hold neither '+' nor '#'.",
    ],
  },
  {
    name: 'log_dest: another word',
    text: 'log_dest standard\n',
    lines: [
      "Error: Invalid 'log_dest' value (standard).",
      'Error found at mosquitto.conf:1.',
      "'standard' is not allowed: 'log_dest' takes none, stdout, stderr, syslog, topic, dlt, android or file PATH.",
    ],
  },
  {
    name: 'log_dest: file without a path',
    text: 'log_dest file\n',
    lines: [
      'Error: Empty "log_dest file" value in configuration.',
      'Error found at mosquitto.conf:1.',
      "The path is missing: 'log_dest file PATH'.",
    ],
  },
  {
    name: 'log_dest: two files',
    text: 'log_dest file /var/log/a\nlog_dest file /var/log/b\n',
    lines: [
      'Error: Duplicate "log_dest file" value.',
      'Error found at mosquitto.conf:2.',
      "'/var/log/b' is a second file; lines go to '/var/log/a' already.",
    ],
  },
  {
    name: 'log_type: another word',
    text: 'log_type info\n',
    lines: [
      "Error: Invalid 'log_type' value (info).",
      'Error found at mosquitto.conf:1.',
      "'info' is not allowed: 'log_type' takes none, error, warning, notice, information, debug, subscribe, unsubscribe, websockets, internal or all. Did you mean 'information'?",
    ],
  },
  {
    name: 'duration without a unit',
    text: 'persistent_client_expiration 14\n',
    lines: [
      "Error: Invalid 'persistent_client_expiration' duration in configuration.",
      'Error found at mosquitto.conf:1.',
      "'14' is not allowed: 'persistent_client_expiration' takes a number with unit s, h, d, w, m or y.",
    ],
  },
  {
    name: 'duration of nothing',
    text: 'persistent_client_expiration 0d\n',
    lines: [
      "Error: Invalid 'persistent_client_expiration' duration in configuration.",
      'Error found at mosquitto.conf:1.',
      "'0d' is not allowed: 'persistent_client_expiration' takes a number with unit s, h, d, w, m or y.",
    ],
  },
  {
    name: 'worker_threads',
    text: 'worker_threads 33\n',
    lines: [
      "Error: Invalid 'worker_threads' value (33).",
      'Error found at mosquitto.conf:1.',
      "'33' is not allowed: 'worker_threads' takes auto or 1 to 32.",
    ],
  },
  {
    name: 'listener: nothing',
    text: 'listener\n',
    lines: [
      "Error: Empty 'listener port' value in configuration.",
      'Error found at mosquitto.conf:1.',
      "The value is missing: 'listener' takes PORT [ADDRESS | HOST | UNIX-SOCKET-PATH].",
    ],
  },
  {
    name: 'listener: text',
    text: 'listener mqtt\n',
    lines: [
      "Error: 'listener port' value not a number.",
      'Error found at mosquitto.conf:1.',
      "'mqtt' is not allowed: a port is from 0 to 65535.",
    ],
  },
  {
    name: 'listener: no such port',
    text: 'listener 65536\n',
    lines: [
      "Error: Invalid 'port' value (65536).",
      'Error found at mosquitto.conf:1.',
      "'65536' is not allowed: a port is from 0 to 65535.",
    ],
  },
  {
    name: 'listener: no path',
    text: 'listener 0\n',
    lines: [
      'Error: A listener with port 0 must provide a Unix socket path.',
      'Error found at mosquitto.conf:1.',
      "Write 'listener 0 PATH' for a Unix socket, or a port from 1 to 65535.",
    ],
  },
  {
    name: 'listener: a path too long',
    text: 'listener 0 /run/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n',
    lines: [
      'Error: Path to unix socket is too long "/run/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx".',
      'Error found at mosquitto.conf:1.',
      'The path is 108 bytes long; the system allows 107.',
    ],
  },
  {
    name: 'port 0',
    text: 'port 0\n',
    lines: [
      "The 'port' option is now deprecated and will be removed in version 3.0. Use 'listener' instead.",
      "Creating default listener due to 'port' option.",
      "A 'listener' should be defined before 'port' is used.",
      "Error: Invalid 'port' value (0).",
      'Error found at mosquitto.conf:1.',
      "'0' is not allowed: a port is from 1 to 65535.",
    ],
  },
  {
    name: 'bind_address twice',
    text: 'bind_address 10.0.0.1\nbind_address 10.0.0.2\n',
    lines: [
      "The 'bind_address' option is now deprecated and will be removed in version 3.0. Use 'listener' instead.",
      "Creating default listener due to 'bind_address' option.",
      "A 'listener' should be defined before 'bind_address' is used.",
      "Error: Duplicate 'default listener bind_address' value in configuration.",
      'Error found at mosquitto.conf:2.',
      "'bind_address' may be given once, and is at mosquitto.conf:1 already.",
    ],
  },
  {
    name: 'option before its listener',
    text: 'cafile /etc/ca.pem\n',
    lines: [
      "Error: The 'cafile' option requires a listener to be defined first.",
      'Error found at mosquitto.conf:1.',
      "A line 'listener PORT' must come before 'cafile'.",
    ],
  },
  {
    name: 'option that refuses the default listener',
    text: 'port 1883\naccept_protocol_versions 5\n',
    lines: [
      "The 'port' option is now deprecated and will be removed in version 3.0. Use 'listener' instead.",
      "Creating default listener due to 'port' option.",
      "A 'listener' should be defined before 'port' is used.",
      "Error: The 'accept_protocol_versions' option requires a listener to be defined first.",
      'Error found at mosquitto.conf:2.',
      "A line 'listener PORT' must come before 'accept_protocol_versions'.",
    ],
  },
  {
    name: 'max_qos',
    text: 'listener 8883\nmax_qos 3\n',
    lines: [
      "Error: 'max_qos' must be between 0 and 2 inclusive.",
      'Error found at mosquitto.conf:2.',
      "'3' is not allowed: 'max_qos' takes a whole number from 0 to 2.",
    ],
  },
  {
    name: 'max_topic_alias',
    text: 'listener 8883\nmax_topic_alias -1\n',
    lines: [
      "Error: Invalid 'max_topic_alias' value in configuration.",
      'Error found at mosquitto.conf:2.',
      "'-1' is not allowed: 'max_topic_alias' takes a whole number from 0 to 65535.",
    ],
  },
  {
    name: 'enable_proxy_protocol',
    text: 'listener 8883\nenable_proxy_protocol 3\n',
    lines: [
      'Error: enable_proxy_protocol must be 1 or 2.',
      'Error found at mosquitto.conf:2.',
      "'3' is not allowed: 'enable_proxy_protocol' takes a whole number from 1 to 2.",
    ],
  },
  {
    name: 'certfile without keyfile',
    text: 'listener 8883\ncertfile /etc/server.pem\n',
    lines: [
      'Error: Both certfile and keyfile must be provided to enable a TLS listener.',
      'Error found at mosquitto.conf:2.',
      "'keyfile' is missing for this listener.",
    ],
  },
  {
    name: 'cafile without certfile',
    text: 'listener 8883\ncafile /etc/ca.pem\n',
    lines: [
      'Error: cafile specified without certfile and keyfile.',
      'Error found at mosquitto.conf:2.',
      "'cafile' is for a listener with TLS, which has both of them.",
    ],
  },
  {
    name: 'capath without certfile',
    text: 'listener 8883\ncapath /etc/certs\n',
    lines: [
      'Error: capath specified without certfile and keyfile.',
      'Error found at mosquitto.conf:2.',
      "'capath' is for a listener with TLS, which has both of them.",
    ],
  },
  {
    name: 'certificate and key of a listener',
    text: 'listener 8883\npsk_hint gateway\ncertfile /etc/server.pem\nkeyfile /etc/server.key\n',
    lines: [
      'Error: Cannot use both certificate and psk encryption in a single listener.',
      'Error found at mosquitto.conf:3.',
      "'certfile' does not go with 'psk_hint' at mosquitto.conf:2: remove one of them.",
    ],
  },
  {
    name: 'key after certificate',
    text: 'listener 8883\ncertfile /etc/server.pem\nkeyfile /etc/server.key\npsk_hint gateway\n',
    lines: [
      'Error: Cannot use both certificate and psk encryption in a single listener.',
      'Error found at mosquitto.conf:4.',
      "'psk_hint' does not go with 'certfile' at mosquitto.conf:2: remove one of them.",
    ],
  },
  {
    name: 'psk_file after certificate',
    text: 'listener 8883\ncertfile /etc/server.pem\nkeyfile /etc/server.key\npsk_file /etc/keys\n',
    lines: [
      'Error: Cannot use both certificate and psk encryption in a single listener.',
      'Error found at mosquitto.conf:4.',
      "'psk_file' does not go with 'certfile' at mosquitto.conf:2: remove one of them.",
    ],
  },
  {
    name: 'proxy and subject',
    text: 'listener 8883\nenable_proxy_protocol 2\nuse_subject_as_username true\n',
    lines: [
      'Error: use_subject_as_username cannot be used with `enable_proxy_protocol 2`.',
      'Error found at mosquitto.conf:3.',
      'With version 2, the proxy does TLS and says who the client is.',
    ],
  },
  {
    name: 'proxy and certificate',
    text: 'listener 8883\ncertfile /etc/server.pem\nkeyfile /etc/server.key\nenable_proxy_protocol 2\n',
    lines: [
      'Error: certfile and keyfile cannot be used with `enable_proxy_protocol 2`.',
      'Error found at mosquitto.conf:2.',
      'With version 2, the proxy does TLS and says who the client is.',
    ],
  },
  {
    name: 'per_listener_settings late',
    text: 'allow_anonymous false\nper_listener_settings true\n',
    lines: [
      "The 'per_listener_settings' option is now deprecated and will be removed in version 3.0. ",
      'Error: per_listener_settings must be set before any other security settings.',
      'Error found at mosquitto.conf:2.',
      'Move the line to the beginning of the file.',
    ],
  },
  {
    name: 'per-listener option without a listener',
    text: 'per_listener_settings true\npassword_file /etc/passwd\n',
    lines: [
      "The 'per_listener_settings' option is now deprecated and will be removed in version 3.0. ",
      "Error: The 'password_file' option requires a listener to be defined first.",
      'Error found at mosquitto.conf:2.',
      "A line 'listener PORT' must come before 'password_file'.",
    ],
  },
  {
    name: 'bridge option without a bridge',
    text: 'address 10.0.0.1\n',
    lines: [
      "Error: The 'address' option requires a bridge to be defined first.",
      'Error found at mosquitto.conf:1.',
      "A line 'connection NAME' must come before 'address'.",
    ],
  },
  {
    name: 'connection twice',
    text: 'connection far\naddress 10.0.0.1\ntopic #\nconnection far\naddress 10.0.0.2\ntopic #\n',
    lines: [
      "Error: Duplicate bridge name 'far'.",
      'Error found at mosquitto.conf:4.',
      "Each connection has a name of its own; 'far' is the one at mosquitto.conf:1.",
    ],
  },
  {
    name: 'connection without a name',
    text: 'connection\n',
    lines: [
      "Error: Empty 'connection' value in configuration.",
      'Error found at mosquitto.conf:1.',
      "The value is missing: 'connection' takes NAME.",
    ],
  },
  {
    name: 'bridge without address',
    text: 'connection far\ntopic #\n',
    lines: [
      'Error: Invalid bridge configuration: no remote addresses defined.',
      'Error found at mosquitto.conf:1.',
      "Connection 'far' needs a line 'address HOST[:PORT]'.",
    ],
  },
  {
    name: 'bridge without topic',
    text: 'connection far\naddress 10.0.0.1\n',
    lines: [
      'Error: Invalid bridge configuration: no topics defined.',
      'Error found at mosquitto.conf:1.',
      "Connection 'far' needs a line 'topic PATTERN [in|out|both]'.",
    ],
  },
  {
    name: 'address twice',
    text: 'connection far\naddress 10.0.0.1\ntopic #\naddresses 10.0.0.2\n',
    lines: [
      "Error: Invalid bridge configuration, 'address' only allowed once.",
      'Error found at mosquitto.conf:4.',
      "'addresses' may be given once, and is at mosquitto.conf:2 already.",
    ],
  },
  {
    name: 'address of nothing',
    text: 'connection far\naddress # none\ntopic #\n',
    lines: [
      'Error: Empty address value in configuration.',
      'Error found at mosquitto.conf:2.',
      "No address is given: 'address' takes one or more HOST[:PORT] with spaces between.",
    ],
  },
  {
    name: 'address with port 0',
    text: 'connection far\naddress 10.0.0.1:0\ntopic #\n',
    lines: [
      'Error: Invalid bridge port value (0).',
      'Error found at mosquitto.conf:2.',
      "'10.0.0.1:0' is not allowed: 'address' takes one or more HOST[:PORT] with spaces between. PORT is from 1 to 65535, and an IPv6 address needs one.",
    ],
  },
  {
    name: 'remote_clientid by both names',
    text: 'connection far\naddress 10.0.0.1\ntopic #\nclientid a\nremote_clientid b\n',
    lines: [
      "Error: Duplicate 'bridge remote clientid' value in configuration.",
      'Error found at mosquitto.conf:5.',
      "'remote_clientid' may be given once, and is at mosquitto.conf:4 already.",
    ],
  },
  {
    name: 'local_clientid of nothing',
    text: 'connection far\naddress 10.0.0.1\ntopic #\nlocal_clientid\n',
    lines: [
      "Error: Empty 'bridge local clientd' value in configuration.",
      'Error found at mosquitto.conf:4.',
      "The value is missing: 'local_clientid' takes ID.",
    ],
  },
  {
    name: 'the same local client id',
    text: 'connection far\naddress 10.0.0.1\ntopic #\nlocal_clientid x\nconnection near\naddress 10.0.0.2\ntopic #\nlocal_clientid x\n',
    lines: [
      "Error: Bridge local_clientid 'x' is not unique. Try changing or setting the local_clientid value for one of the bridges.",
      'Error found at mosquitto.conf:8.',
      "Connection 'far' at mosquitto.conf:1 has the same.",
    ],
  },
  {
    name: 'keepalive_interval',
    text: 'connection far\naddress 10.0.0.1\ntopic #\nkeepalive_interval 65536\n',
    lines: [
      'Error: Bridge keepalive value too high.',
      'Error found at mosquitto.conf:4.',
      "'65536' is not allowed: 'keepalive_interval' takes a whole number up to 65535.",
    ],
  },
  {
    name: 'start_type manual',
    text: 'connection far\naddress 10.0.0.1\ntopic #\nstart_type manual\n',
    lines: [
      'Error: Manual start_type not supported.',
      'Error found at mosquitto.conf:4.',
      "'manual' is not allowed: 'start_type' takes automatic, lazy or once.",
    ],
  },
  {
    name: 'start_type',
    text: 'connection far\naddress 10.0.0.1\ntopic #\nstart_type lasy\n',
    lines: [
      "Error: Invalid 'start_type' value in configuration (lasy).",
      'Error found at mosquitto.conf:4.',
      "'lasy' is not allowed: 'start_type' takes automatic, lazy or once. Did you mean 'lazy'?",
    ],
  },
  {
    name: 'bridge_protocol_version takes the whole line',
    text: 'connection far\naddress 10.0.0.1\ntopic #\nbridge_protocol_version mqttv50 # newest\n',
    lines: [
      "Error: Invalid 'bridge_protocol_version' value (mqttv50 # newest).",
      'Error found at mosquitto.conf:4.',
      "'mqttv50 # newest' is not allowed: 'bridge_protocol_version' takes mqttv31, mqttv311 or mqttv50.",
    ],
  },
  {
    name: 'bridge_reload_type',
    text: 'connection far\naddress 10.0.0.1\ntopic #\nbridge_reload_type now\n',
    lines: [
      "Error: Invalid 'bridge_reload_type' value in configuration (now).",
      'Error found at mosquitto.conf:4.',
      "'now' is not allowed: 'bridge_reload_type' takes lazy or immediate.",
    ],
  },
  {
    name: 'bridge_receive_maximum',
    text: 'connection far\naddress 10.0.0.1\ntopic #\nbridge_receive_maximum 0\n',
    lines: [
      'Error: bridge_receive_maximum must be greater than 0.',
      'Error found at mosquitto.conf:4.',
      "'0' is not allowed: 'bridge_receive_maximum' takes a whole number from 1 to 65535.",
    ],
  },
  {
    name: 'bridge_max_topic_alias',
    text: 'connection far\naddress 10.0.0.1\ntopic #\nbridge_max_topic_alias 65536\n',
    lines: [
      'Error: bridge_max_topic_alias must be > 0 and <= 65535.',
      'Error found at mosquitto.conf:4.',
      "'65536' is not allowed: 'bridge_max_topic_alias' takes a whole number from 0 to 65535.",
    ],
  },
  {
    name: 'bridge_session_expiry_interval',
    text: 'connection far\naddress 10.0.0.1\ntopic #\nbridge_session_expiry_interval 4294967295\n',
    lines: [
      "Error: 'bridge_session_expiry_interval' value out of range.",
      'Error found at mosquitto.conf:4.',
      "'4294967295' is not allowed: 'bridge_session_expiry_interval' takes a whole number from 0. The largest number is 2147483647.",
    ],
  },
  {
    name: 'bridge_tcp_keepalive short',
    text: 'connection far\naddress 10.0.0.1\ntopic #\nbridge_tcp_keepalive 60 10\n',
    lines: [
      "Error: Empty 'bridge_tcp_keepalive_counter' value in configuration.",
      'Error found at mosquitto.conf:4.',
      "A number is missing: 'bridge_tcp_keepalive' takes IDLE INTERVAL COUNTER.",
    ],
  },
  {
    name: 'bridge_tcp_keepalive zero',
    text: 'connection far\naddress 10.0.0.1\ntopic #\nbridge_tcp_keepalive 60 0 5\n',
    lines: [
      'Error: invalid TCP keepalive interval value.',
      'Error found at mosquitto.conf:4.',
      "'0' is not allowed: 'bridge_tcp_keepalive' takes IDLE INTERVAL COUNTER.",
    ],
  },
  {
    name: 'bridge_tcp_user_timeout',
    text: 'connection far\naddress 10.0.0.1\ntopic #\nbridge_tcp_user_timeout -1\n',
    lines: [
      'Error: invalid TCP user timeout value.',
      'Error found at mosquitto.conf:4.',
      "'-1' is not allowed: 'bridge_tcp_user_timeout' takes a whole number from 0.",
    ],
  },
  {
    name: 'restart_timeout',
    text: 'connection far\naddress 10.0.0.1\ntopic #\nrestart_timeout 30 5\n',
    lines: [
      'Error: backoff cap is lower than the base in restart_timeout.',
      'Error found at mosquitto.conf:4.',
      "'5' is not allowed: 'restart_timeout' takes SECONDS or BASE CAP [STABLE].",
    ],
  },
  {
    name: 'restart_timeout stable',
    text: 'connection far\naddress 10.0.0.1\ntopic #\nrestart_timeout 5 30 -1\n',
    lines: [
      'Error: stable connection period cannot be negative.',
      'Error found at mosquitto.conf:4.',
      "'-1' is not allowed: 'restart_timeout' takes SECONDS or BASE CAP [STABLE].",
    ],
  },
  {
    name: 'bridge key without identity',
    text: 'connection far\naddress 10.0.0.1\ntopic #\nbridge_psk 00ff\n',
    lines: [
      'Error: Invalid bridge configuration: missing bridge_identity.',
      'Error found at mosquitto.conf:4.',
      "Connection 'far' has a 'bridge_psk', which goes with an identity.",
    ],
  },
  {
    name: 'bridge identity without key',
    text: 'connection far\naddress 10.0.0.1\ntopic #\nbridge_identity gateway\n',
    lines: [
      'Error: Invalid bridge configuration: missing bridge_psk.',
      'Error found at mosquitto.conf:4.',
      "Connection 'far' has a 'bridge_identity', which goes with a key.",
    ],
  },
  {
    name: 'bridge certificate after key',
    text: 'connection far\naddress 10.0.0.1\ntopic #\nbridge_identity gateway\nbridge_psk 00ff\nbridge_cafile /etc/ca.pem\n',
    lines: [
      "Error: 'bridge_cafile': Cannot use both certificate and psk encryption in a single bridge.",
      'Error found at mosquitto.conf:6.',
      "'bridge_cafile' does not go with 'bridge_identity' at mosquitto.conf:4: remove one of them.",
    ],
  },
  {
    name: 'bridge key after certificate',
    text: 'connection far\naddress 10.0.0.1\ntopic #\nbridge_cafile /etc/ca.pem\nbridge_psk 00ff\nbridge_identity gateway\n',
    lines: [
      "Error: 'bridge_psk': Cannot use both certificate and identity encryption in a single bridge.",
      'Error found at mosquitto.conf:5.',
      "'bridge_psk' does not go with 'bridge_cafile' at mosquitto.conf:4: remove one of them.",
      "Error: 'bridge_identity': Cannot use both certificate and identity encryption in a single bridge.",
      'Error found at mosquitto.conf:6.',
      "'bridge_identity' does not go with 'bridge_cafile' at mosquitto.conf:4: remove one of them.",
    ],
  },
  {
    name: 'plugin option without a plugin',
    text: 'plugin_opt_db_file /var/lib/x\n',
    lines: [
      "Error: The 'plugin_opt_db_file' option requires plugin/global_plugin/plugin_load to be defined first.",
      'Error found at mosquitto.conf:1.',
      "A line 'plugin PATH' must come before 'plugin_opt_db_file'.",
    ],
  },
  {
    name: 'plugin option without a value',
    text: 'plugin /usr/lib/acl_file.so\nplugin_opt_acl_file\nplugin_opt_acl_file /a\n',
    lines: [
      "Error: Empty 'acl_file' value in configuration.",
      'Error found at mosquitto.conf:2.',
      "The value is missing: 'plugin_opt_acl_file' takes TEXT.",
    ],
  },
  {
    name: 'plugin option with a short name and no value',
    text: 'plugin /usr/lib/acl_file.so\nplugin_opt_acl_file /a\nplugin_opt_x\n',
    lines: [
      "Error: Invalid 'plugin_opt_' config option.",
      'Error found at mosquitto.conf:3.',
      "What follows 'plugin_opt_' has at least 3 characters; 'x' has 1.",
    ],
  },
  {
    name: 'plugin option with a short name',
    text: 'plugin /usr/lib/acl_file.so\nplugin_opt_acl_file /a\nauth_opt_db x\n',
    lines: [
      "Error: Invalid 'auth_opt_' config option.",
      'Error found at mosquitto.conf:3.',
      "What follows 'auth_opt_' has at least 3 characters; 'db' has 2.",
    ],
  },
  {
    name: 'plugin of nothing',
    text: 'plugin\n',
    lines: [
      "Error: Empty 'plugin' value in configuration.",
      'Error found at mosquitto.conf:1.',
      "The value is missing: 'plugin' takes PATH.",
    ],
  },
  {
    name: 'a plugin that is not known',
    text: 'listener 1883\nplugin /usr/lib/mosquitto_persist_sqlite.so\nplugin_opt_db_file /d.db\n',
    lines: [
      'Error: Unable to load plugin "/usr/lib/mosquitto_persist_sqlite.so".',
      'Error found at mosquitto.conf:2.',
      "Use 'persistence true' instead.",
    ],
  },
  {
    name: 'dynamic security twice',
    text: 'plugin /a/mosquitto_dynamic_security.so\nplugin_opt_config_file /d\nglobal_plugin mosquitto_dynamic_security.so\nplugin_opt_config_file /e\n',
    lines: [
      'Error: Dynamic security plugin can currently only be loaded once.',
      'Error found at mosquitto.conf:3.',
      "It is loaded at mosquitto.conf:1 already; with 'plugin_load' and 'plugin_use' several listeners can share it.",
    ],
  },
  {
    name: 'a plugin without its file',
    text: 'global_plugin /usr/lib/mosquitto_password_file.so\n',
    lines: [
      'Error: The plugin "/usr/lib/mosquitto_password_file.so" has no \'plugin_opt_password_file\'.',
      'Error found at mosquitto.conf:1.',
      "A line 'plugin_opt_password_file FILE' must follow.",
    ],
  },
  {
    name: 'a TLS engine',
    text: 'listener 8883\ntls_engine pkcs11\n',
    lines: [
      "Error: 'tls_engine' is not available.",
      'Error found at mosquitto.conf:2.',
      'Current versions of OpenSSL have no engines: put the key into a file and name it with keyfile.',
    ],
  },
  {
    name: 'the password of a key in an engine',
    text: 'listener 8883\ntls_engine_kpass_sha1 00\n',
    lines: [
      "Error: 'tls_engine_kpass_sha1' is not available.",
      'Error found at mosquitto.conf:2.',
      'Current versions of OpenSSL have no engines: put the key into a file and name it with keyfile.',
    ],
  },
  {
    name: 'a key in an engine',
    text: 'listener 8883\ntls_keyform engine\n',
    lines: [
      "Error: 'tls_keyform' is not available.",
      'Error found at mosquitto.conf:2.',
      'Current versions of OpenSSL have no engines: put the key into a file and name it with keyfile.',
    ],
  },
  {
    name: 'plugin_load without a path',
    text: 'plugin_load acl\n',
    lines: [
      "Error: Missing plugin path for plugin name 'acl'.",
      'Error found at mosquitto.conf:1.',
      "'plugin_load' takes a name and a path.",
    ],
  },
  {
    name: 'plugin_load twice',
    text: 'plugin_load acl /usr/lib/acl_file.so\nplugin_opt_acl_file /a\nplugin_load acl /usr/lib/b.so\n',
    lines: [
      "Error: Duplicate plugin name 'acl'.",
      'Error found at mosquitto.conf:3.',
      "Each plugin has a name of its own; 'acl' is the one at mosquitto.conf:1.",
    ],
  },
  {
    name: 'plugin_use before plugin_load',
    text: 'listener 8883\nplugin_use acl\n',
    lines: [
      "Error: Plugin 'acl' not previously loaded.",
      'Error found at mosquitto.conf:2.',
      "A line 'plugin_load acl PATH' must come before it.",
    ],
  },
  {
    name: 'http_dir of nothing there',
    text: 'listener 80\nhttp_dir /srv/none\nprotocol http_api\n',
    lines: [
      "Error: Unable to open http_dir '/srv/none'.",
      'Error found at mosquitto.conf:2.',
      "'http_dir' names a directory that exists; this one: no such file.",
    ],
  },
  {
    name: 'HTTP behind a proxy',
    text: 'listener 80\nenable_proxy_protocol 2\nprotocol http_api\n',
    lines: [
      'Error: enable_proxy_protocol cannot be used with `protocol http_api`.',
      'Error found at mosquitto.conf:2.',
      'The HTTP API does not read the header of a proxy: remove one of the two lines.',
    ],
  },
  {
    name: 'the same port twice',
    text: 'listener 1883\nlistener 1884\nlistener 1883\n',
    lines: [
      'Error: Two listeners for port 1883.',
      'Error found at mosquitto.conf:3.',
      'The listener at mosquitto.conf:1 has the same port and address already.',
    ],
  },
  {
    name: 'the same address twice',
    text: 'listener 1883 ::1\nlistener 1883\nlistener 1883 ::1\n',
    lines: [
      'Error: Two listeners for port 1883 ::1.',
      'Error found at mosquitto.conf:3.',
      'The listener at mosquitto.conf:1 has the same port and address already.',
    ],
  },
  {
    name: 'the same unix socket twice',
    text: 'listener 0 /run/mqtt\nlistener 0 /run/mqtt\n',
    lines: [
      'Error: Two listeners for the unix socket /run/mqtt.',
      'Error found at mosquitto.conf:2.',
      'The listener at mosquitto.conf:1 has the same path already.',
    ],
  },
  {
    name: 'an address of another family than socket_domain',
    text: 'listener 1883 127.0.0.1\nsocket_domain ipv6\n',
    lines: [
      "Error: The address 127.0.0.1 of a listener does not go with 'socket_domain ipv6'.",
      'Error found at mosquitto.conf:2.',
      "Remove 'socket_domain', or give an address of that family.",
    ],
  },
  {
    name: 'include_dir of nothing there',
    text: 'include_dir /etc/none\n',
    lines: [
      "Error: Unable to open include_dir '/etc/none'.",
      'Error found at mosquitto.conf:1.',
      "'/etc/none' must be a directory that the broker may read.",
    ],
  },
];

describe('a faulty configuration is refused, with every line of the report', () => {
  for (const { name, text, lines } of brokenConfigs) {
    test(name, () => {
      const result = load(text);
      assert.equal(result.ok, false);
      assert.deepEqual(texts(result), lines);
    });
  }
});
