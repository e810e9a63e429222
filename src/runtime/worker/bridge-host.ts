/** The bridges of one worker: main says which, and this starts, changes and removes them. */
import { Bridge, type BridgeWorld } from '../../bridge/bridge.js';
import { isSameBridge } from '../../config/reload-diff.js';
import type { BridgeSettings } from '../../config/settings.js';
import type { BridgeRow } from '../../routing/client-questions.js';

/** Milliseconds between two ticks of a bridge. */
const TICK_MS = 200;

export class BridgeHost {
  readonly #world: BridgeWorld;
  readonly #bridges = new Map<string, Bridge>();
  #timer: NodeJS.Timeout | undefined;

  constructor(world: BridgeWorld) {
    this.#world = world;
  }

  /** Makes these the worker's bridges, and leaves those alone whose settings are the same. */
  assign(bridges: readonly BridgeSettings[]): void {
    const wanted = new Map(bridges.map((settings) => [settings.name, settings]));
    for (const [name, bridge] of [...this.#bridges]) {
      const settings = wanted.get(name);
      // Another local client id is another session.
      if (settings?.localClientid === bridge.settings.localClientid) {
        if (!isSameBridge(settings, bridge.settings)) bridge.change(settings);
      } else {
        bridge.remove();
        this.#bridges.delete(name);
      }
    }
    for (const [name, settings] of wanted) {
      if (!this.#bridges.has(name)) this.#start(settings);
    }
    this.#startTimer();
  }

  describe(): BridgeRow[] {
    return [...this.#bridges.values()].map((bridge) => bridge.describe());
  }

  relieve(): void {
    for (const bridge of this.#bridges.values()) bridge.relieve();
  }

  stop(): void {
    clearInterval(this.#timer);
    for (const bridge of this.#bridges.values()) bridge.stop();
  }

  #start(settings: BridgeSettings): void {
    const bridge = new Bridge(this.#world, settings);
    this.#bridges.set(settings.name, bridge);
    bridge.start();
  }

  #startTimer(): void {
    clearInterval(this.#timer);
    if (this.#bridges.size === 0) return;
    this.#timer = setInterval(() => {
      for (const bridge of this.#bridges.values()) bridge.tick();
    }, TICK_MS);
  }
}
