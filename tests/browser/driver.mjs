// Drives Chromium (or with the argument `firefox` Firefox) for the end-to-end tests, which are written in Rust. One JSON command a line
// comes in on stdin, one JSON line goes out for each: {"id":1,"ok":true,"value":…} or {"id":1,"ok":false,"error":"…"}. Commands of one page
// run in order, pages run side by side.
// README.md lists the commands. The browser ends when stdin closes.
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { chromium } from 'playwright-core';

const ARGUMENTS = [
  '--no-sandbox',
  '--headless',
  '--use-fake-device-for-media-stream',
  '--use-fake-ui-for-media-stream',
  '--disable-gpu',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
  '--autoplay-policy=no-user-gesture-required',
];
/** Milliseconds a command may take unless it says otherwise. */
const PATIENCE = 15_000;

const browser = await (process.argv[2] === 'firefox' ? startFirefox() : startChromium());
/** Name of a context → BrowserContext; name of a page → { page, context, log, queue }. */
const contexts = new Map();
const pages = new Map();

function startChromium() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [...ARGUMENTS, ...(process.env.CHROMIUM_ARGS?.split(' ').filter(Boolean) ?? [])],
  });
}

async function startFirefox() {
  const firefox = await import('./firefox.mjs');
  return firefox.launch({ executablePath: process.env.FIREFOX ?? '/usr/bin/firefox-esr' });
}

/** A test id becomes a selector; anything with a CSS sign in it is taken as CSS. */
function selector(target) {
  return /^[\w-]+$/.test(target) ? `[data-testid="${target}"]` : target;
}

function pageOf(name) {
  const entry = pages.get(name);
  if (!entry) throw new Error(`no page "${name}" is open`);
  return entry;
}

/** The first match that is visible: ended calls may still show their card. */
function locate(name, target) {
  return pageOf(name).page.locator(`${selector(target)}:visible`).first();
}

async function contextOf(command) {
  const name = command.context ?? command.page;
  let context = contexts.get(name);
  if (!context) {
    context = await browser.newContext({
      ignoreHTTPSErrors: true,
      permissions: command.permissions ?? ['microphone', 'camera'],
      viewport: command.viewport ?? { width: 1280, height: 800 },
      colorScheme: command.colorScheme ?? 'light',
      serviceWorkers: 'block',
      // Nothing is drawn 60 times a second that nobody sees.
      reducedMotion: 'reduce',
    });
    context.setDefaultTimeout(PATIENCE);
    contexts.set(name, context);
  }
  return { name, context };
}

const commands = {
  async open(command) {
    const { name, context } = await contextOf(command);
    const page = await context.newPage();
    const log = [];
    page.on('console', (message) => log.push(`${message.type()}: ${message.text()}`));
    page.on('pageerror', (error) => log.push(`pageerror: ${error.message}`));
    pages.set(command.page, { ...pages.get(command.page), page, context: name, log });
    await page.goto(command.url, { timeout: command.timeout ?? PATIENCE });
    return page.url();
  },
  async click({ page, target, timeout }) {
    await locate(page, target).click({ timeout: timeout ?? PATIENCE });
  },
  async fill({ page, target, value, timeout }) {
    await locate(page, target).fill(value, { timeout: timeout ?? PATIENCE });
  },
  async select({ page, target, value, timeout }) {
    await locate(page, target).selectOption(value, { timeout: timeout ?? PATIENCE });
  },
  async press({ page, key, target }) {
    if (target) await locate(page, target).press(key);
    else await pageOf(page).page.keyboard.press(key);
  },
  async type({ page, text }) {
    await pageOf(page).page.keyboard.type(text);
  },
  /** Waits until an attribute of the body (or of `target`) is one of `state`; answers the body's data attributes. */
  async waitState({ page, state, target = 'body', attribute = 'data-state', timeout = PATIENCE }) {
    const wanted = [state].flat();
    const css = target === 'body' ? 'body' : selector(target);
    const seen = ([query, name, values]) => values.includes(document.querySelector(query)?.getAttribute(name));
    const { page: tab } = pageOf(page);
    try {
      await tab.waitForFunction(seen, [css, attribute, wanted], { timeout, polling: 25 });
    } catch (error) {
      const now = await tab.evaluate(([query, name]) => document.querySelector(query)?.getAttribute(name), [css, attribute]);
      throw new Error(`${attribute} of ${target} is "${now}" after ${timeout} ms, not "${wanted.join('" or "')}" (${error.name})`);
    }
    return tab.evaluate((query) => ({ ...document.querySelector(query).dataset }), css);
  },
  /** Waits until an expression of the page is true; answers its value. */
  async waitFor({ page, expression, timeout = PATIENCE }) {
    // Not waitForFunction: it evaluates a string by the page's own eval, which the page's Content-Security-Policy forbids.
    const { page: tab } = pageOf(page);
    const end = Date.now() + timeout;
    for (;;) {
      const value = await tab.evaluate(expression);
      if (value) return value;
      if (Date.now() > end) throw new Error(`still ${JSON.stringify(value)} after ${timeout} ms: ${expression}`);
      await sleep(50);
    }
  },
  async text({ page, target, timeout }) {
    return locate(page, target).innerText({ timeout: timeout ?? PATIENCE });
  },
  async attribute({ page, target, name, timeout }) {
    return locate(page, target).getAttribute(name, { timeout: timeout ?? PATIENCE });
  },
  async visible({ page, target }) {
    return locate(page, target).isVisible();
  },
  async stats({ page, call }) {
    return pageOf(page).page.evaluate((id) => window.causeway.stats(id), call);
  },
  async calls({ page }) {
    return pageOf(page).page.evaluate(() => window.causeway.calls());
  },
  async screenshot({ page, path, fullPage = false }) {
    await pageOf(page).page.screenshot({ path, fullPage });
    return path;
  },
  async eval({ page, expression }) {
    return pageOf(page).page.evaluate(expression);
  },
  async resize({ page, width, height }) {
    await pageOf(page).page.setViewportSize({ width, height });
  },
  async reload({ page }) {
    await pageOf(page).page.reload();
  },
  /** The network goes (or comes back) for every page of this page's context. */
  async offline({ page, on = true }) {
    await contexts.get(pageOf(page).context).setOffline(on);
  },
  /** What the page wrote to its console, errors of the page included. */
  async log({ page }) {
    return pageOf(page).log;
  },
  /** Closes a page as its user would; `pagehide` runs. With `context` everything of that context. */
  async close({ page, context }) {
    if (context) {
      await contexts.get(context)?.close();
      contexts.delete(context);
      for (const [name, entry] of pages) if (entry.context === context) pages.delete(name);
      return;
    }
    const entry = pageOf(page);
    pages.delete(page);
    await entry.page.close({ runBeforeUnload: false });
    if ([...pages.values()].some((other) => other.context === entry.context)) return;
    await contexts.get(entry.context)?.close();
    contexts.delete(entry.context);
  },
  /** The page's process dies: no event runs in it, no BYE is sent. */
  async crash({ page }) {
    const { page: tab } = pageOf(page);
    const gone = tab.waitForEvent('crash');
    const session = await tab.context().newCDPSession(tab);
    session.send('Page.crash').catch(() => {});
    await gone;
    pages.delete(page);
  },
};

function answer(message) {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

async function run(command) {
  const { id } = command;
  try {
    const work = Object.hasOwn(commands, command.do) ? commands[command.do] : undefined;
    if (!work) throw new Error(`unknown command "${command.do}"; there are ${Object.keys(commands).join(', ')}`);
    answer({ id, ok: true, value: (await work(command)) ?? null });
  } catch (error) {
    answer({ id, ok: false, error: error instanceof Error ? error.message : String(error) });
  }
}

/** One queue a page: what concerns one page happens in the order in which it was asked for. */
const queues = new Map();
const lines = createInterface({ input: process.stdin });
lines.on('line', (line) => {
  if (!line.trim()) return;
  let command;
  try {
    command = JSON.parse(line);
  } catch (error) {
    answer({ id: null, ok: false, error: `not JSON: ${error.message}` });
    return;
  }
  const key = command.page ?? '';
  queues.set(key, (queues.get(key) ?? Promise.resolve()).then(() => run(command)));
});
lines.on('close', async () => {
  await browser.close();
  process.exit(0);
});
answer({ id: 0, ok: true, value: { browser: browser.version() } });
