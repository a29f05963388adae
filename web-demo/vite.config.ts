import { defineConfig } from 'vitest/config';

// What comes out is embedded in the binary and served under a strict Content-Security-Policy:
// everything in files of our own, nothing inline, nothing from elsewhere.
export default defineConfig({
  base: './',
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: false,
    chunkSizeWarningLimit: 700,
  },
  test: { include: ['test/**/*.test.ts'] },
});
