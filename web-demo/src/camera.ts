/**
 * The pictures of one call: what our camera shows the far side, and what the far side shows us. What is put into the connection here is said
 * to the far side by the offer that follows. `sendonly` and `inactive` are never offered for a picture: JsSIP takes them for a hold of the call.
 */
import { close, openCamera } from './media';

export class Camera {
  own: MediaStream | null = null;
  far: MediaStream | null = null;

  /** `seen` is called when the far side's picture comes or goes. */
  constructor(private readonly seen: (on: boolean) => void) {}

  /** Opens the camera; `beside` is the stream of the sound that belongs to it. */
  async start(connection: RTCPeerConnection, beside: MediaStream): Promise<void> {
    const stream = await openCamera();
    const track = stream.getVideoTracks()[0];
    if (!track) return close(stream);
    this.own = stream;
    const line = connection.getTransceivers().find(isPicture);
    if (!line) {
      connection.addTrack(track, beside);
      return;
    }
    line.direction = 'sendrecv';
    line.sender.setStreams?.(beside);
    await line.sender.replaceTrack(track);
  }

  /** Closes it; the far side may go on showing its own. */
  stop(connection: RTCPeerConnection | undefined): void {
    for (const line of connection?.getTransceivers().filter(isPicture) ?? []) {
      if (connection?.signalingState === 'closed' || line.currentDirection === 'stopped') continue;
      line.direction = 'recvonly';
      void line.sender.replaceTrack(null);
    }
    if (this.own) close(this.own);
    this.own = null;
  }

  /** Whether the far side has agreed to see it. */
  static isSent(connection: RTCPeerConnection): boolean {
    const sent = connection.getTransceivers().filter(isPicture);
    return sent.some((line) => line.currentDirection?.startsWith('send'));
  }

  /**
   * Looks whether the far side shows something by now: by what was agreed on, since `unmute` of a track does not come every time (seen with
   * Chromium 156).
   */
  look(connection: RTCPeerConnection): void {
    const line = connection.getTransceivers().find((one) => isPicture(one) && isReceived(one));
    const track = line?.receiver.track;
    if (track === this.far?.getVideoTracks()[0]) return;
    this.far = track ? new MediaStream([track]) : null;
    this.seen(track !== undefined);
  }
}

function isReceived({ currentDirection }: RTCRtpTransceiver): boolean {
  return currentDirection === 'sendrecv' || currentDirection === 'recvonly';
}

function isPicture(line: RTCRtpTransceiver): boolean {
  return line.receiver.track.kind === 'video';
}
