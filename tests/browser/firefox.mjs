// Firefox for the driver, over WebDriver BiDi: puppeteer-core, in the few words of playwright-core that driver.mjs uses.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import puppeteer from 'puppeteer-core';

const PREFERENCES = {
  // A microphone that sounds without a pause and a camera that moves; nobody is asked.
  'media.navigator.streams.fake': true,
  'media.navigator.audio.fake_frequency': 1000,
  'media.navigator.permission.disabled': true,
  'media.autoplay.default': 0,
  'media.autoplay.block-webaudio': false,
  // On loopback there is no other address, and a name under .local would have to be resolved by RTPEngine.
  'media.peerconnection.ice.loopback': true,
  'media.peerconnection.ice.obfuscate_host_addresses': false,
  // H.264 would be fetched from elsewhere.
  'media.gmp-manager.updateEnabled': false,
  // Tabs in the background keep their timers.
  'dom.min_background_timeout_value': 4,
  'dom.timeout.enable_budget_timer_throttling': false,
};
/** Between two looks at a page, in milliseconds. */
const POLL = 25;

/** The element that playwright's `SELECTOR:visible` would take first; a function that runs in the page. */
function firstVisible(css) {
  const seen = (element) => {
    const box = element.getBoundingClientRect();
    return box.width > 0 && box.height > 0 && getComputedStyle(element).visibility === 'visible';
  };
  return [...document.querySelectorAll(css)].find(seen) ?? null;
}

/** Clicks an element that a person could click; a function that runs in the page. */
function clickIfItCan(element) {
  element.scrollIntoView({ block: 'center', behavior: 'instant' });
  const box = element.getBoundingClientRect();
  const top = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
  if (element.disabled || !(element.contains(top) || top?.contains(element))) return false;
  element.focus();
  element.click();
  return true;
}

class Locator {
  constructor(tab, css) {
    Object.assign(this, { tab, css: css.replace(/:visible$/, '') });
  }

  first() {
    return this;
  }

  async find(timeout) {
    const end = Date.now() + timeout;
    for (;;) {
      const handle = (await this.tab.page.evaluateHandle(firstVisible, this.css)).asElement();
      if (handle) return handle;
      if (Date.now() > end) throw new Error(`nothing that is visible matches ${this.css} after ${timeout} ms`);
      await sleep(POLL);
    }
  }

  /**
   * As playwright does: what is enabled and not covered is clicked. By the page itself, since a click from outside waits for the next
   * picture of a window, and windows behind others get none.
   */
  async click({ timeout }) {
    const end = Date.now() + timeout;
    for (;;) {
      const handle = await this.find(Math.max(0, end - Date.now()));
      if (await handle.evaluate(clickIfItCan)) return;
      if (Date.now() > end) throw new Error(`${this.css} is still disabled or covered after ${timeout} ms`);
      await sleep(POLL);
    }
  }

  async fill(value, { timeout }) {
    await (await this.find(timeout)).evaluate((element, text) => {
      element.focus();
      element.value = text;
      element.dispatchEvent(new InputEvent('input', { bubbles: true }));
      element.dispatchEvent(new Event('change', { bubbles: true }));
    }, value);
  }

  async selectOption(value, { timeout }) {
    await (await this.find(timeout)).select(value);
  }

  async press(key) {
    await (await this.find(this.tab.patience)).press(key);
  }

  async innerText({ timeout }) {
    return (await this.find(timeout)).evaluate((element) => element.innerText);
  }

  async getAttribute(name, { timeout }) {
    return (await this.find(timeout)).evaluate((element, attribute) => element.getAttribute(attribute), name);
  }

  async isVisible() {
    return (await this.tab.page.evaluateHandle(firstVisible, this.css)).asElement() !== null;
  }
}

class Tab {
  constructor(page, context) {
    Object.assign(this, { page, owner: context, patience: context.patience });
    this.keyboard = page.keyboard;
  }

  on(event, heard) {
    const type = (message) => ({ type: () => message.type(), text: () => message.text() });
    this.page.on(event, event === 'console' ? (message) => heard(type(message)) : heard);
  }

  async goto(url, { timeout }) {
    await this.page.goto(url, { timeout, waitUntil: 'load' });
  }

  url() {
    return this.page.url();
  }

  context() {
    return this.owner;
  }

  locator(css) {
    return new Locator(this, css);
  }

  evaluate(work, argument) {
    return this.page.evaluate(work, argument);
  }

  // Not puppeteer's own, which makes its function by eval, and the page's Content-Security-Policy forbids that.
  async waitForFunction(work, argument, { timeout }) {
    const end = Date.now() + timeout;
    while (!(await this.page.evaluate(work, argument))) {
      if (Date.now() > end) throw Object.assign(new Error('too late'), { name: 'TimeoutError' });
      await sleep(POLL);
    }
  }

  async screenshot(options) {
    await this.page.screenshot(options);
  }

  async setViewportSize(size) {
    await this.page.setViewport(size);
  }

  async reload() {
    await this.page.reload();
  }

  async close() {
    await this.page.close();
  }

  waitForEvent(event) {
    return Promise.reject(new Error(`Firefox tells nobody of "${event}"`));
  }
}

class Context {
  patience = 15_000;

  constructor(inner, options) {
    Object.assign(this, { inner, options });
  }

  setDefaultTimeout(patience) {
    this.patience = patience;
  }

  async newPage() {
    const page = await this.inner.newPage();
    await page.setViewport(this.options.viewport);
    return new Tab(page, this);
  }

  async setOffline(on) {
    for (const page of await this.inner.pages()) await page.setOfflineMode(on);
  }

  async close() {
    await this.inner.close();
  }
}

/** A program that starts Firefox so that it ends with the driver, however that ends: it has no pipe to it, as Chromium has. */
function mortal(executablePath) {
  const program = join(process.cwd(), 'firefox');
  writeFileSync(program, `#!/bin/sh\nexec setpriv --pdeathsig KILL "${executablePath}" "$@"\n`, { mode: 0o755 });
  return program;
}

/** Starts one. `executablePath` and the rest as playwright-core's `launch` has them. */
export async function launch({ executablePath }) {
  const browser = await puppeteer.launch({
    browser: 'firefox',
    executablePath: mortal(executablePath),
    userDataDir: join(process.cwd(), 'profile'),
    headless: true,
    acceptInsecureCerts: true,
    extraPrefsFirefox: PREFERENCES,
  });
  const version = (await browser.version()).replace(/^firefox\//i, '');
  return {
    version: () => version,
    newContext: async (options) => new Context(await browser.createBrowserContext(), options),
    close: () => browser.close(),
  };
}
