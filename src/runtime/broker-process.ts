/**
 * The broker as a process: command line, configuration, log, listeners, signals, and the order in which they come
 * and go. Everything that happens to a connection happens in the workers.
 */
import { spawn } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import type { Server, Socket } from 'node:net';
import { type CommandLine, parseCommandLine } from '../config/cli-args.js';
import { nodeConfigSource } from '../config/node-config-source.js';
import { loadConfig } from '../config/load-config.js';
import type { ListenerSettings, Settings } from '../config/settings.js';
import { createLogger, logOptionsFromSettings, type Logger } from '../log/logger.js';
import * as lines from '../log/mosquitto-lines.js';
import { Publication } from '../mqtt/publication.js';
import { canPassDescriptors, takeDescriptor } from '../net/descriptor.js';
import { listen, listenAddresses, type ListenAddress } from '../net/listener.js';
import { packedRecords, RecordFlag } from '../routing/wire.js';
import { Supervisor } from './supervisor.js';
import { SysPublisher } from './sys-publisher.js';
import { VERSION } from './version.js';
