package example;

import java.io.IOException;
import java.sql.SQLException;
import java.util.List;
import java.util.Set;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import okhttp3.HttpUrl;
import okhttp3.OkHttpClient;
import okhttp3.Request;
import okhttp3.RequestBody;
import okhttp3.Response;
import okhttp3.sse.EventSource;
import okhttp3.sse.EventSourceListener;
import okhttp3.sse.EventSources;

/** One channel that a phone follows: each event once, also those that it missed while it was offline or not running. */
final class Feed {
  static final class Event {
    final String position;
    final String type;
    final String data;

    Event(String position, String type, String data) {
      this.position = position;
      this.type = type;
      this.data = data;
    }
  }

  /** What a page of the app shows. Called on threads of OkHttp: go to the main thread there. */
  interface Screen {
    void show(Event event, boolean isFromCache);

    void showGap(String data);

    void showState(String state, String reason);
  }

  private static final Set<String> NOTICES = Set.of("connected", "heartbeat");
  private static final Pattern TICKET = Pattern.compile("\"ticket\" *: *\"([^\"]+)\"");
  private static final long FIRST_WAIT_MS = 500, LONGEST_WAIT_MS = 30_000;

  private final OkHttpClient http;
  private final HttpUrl server;
  private final String channel;
  private final Supplier<String> token;
  private final Cache cache;
  private final Screen screen;
  private final ScheduledExecutorService timer = Executors.newSingleThreadScheduledExecutor();
  private EventSource source;
  private String position = "";
  private String state = "connecting";
  private int failures;
  private boolean isClosed;

  Feed(OkHttpClient http, String server, String channel, Supplier<String> token, Cache cache, Screen screen) {
    // OkHttp leaves a silent connection after 10 s. The server is silent for up to 15 s, and dead after 2.5 heartbeats.
    this.http = http.newBuilder().readTimeout(37_500, TimeUnit.MILLISECONDS).build();
    this.server = HttpUrl.get(server);
    this.channel = channel;
    this.token = token;
    this.cache = cache;
    this.screen = screen;
  }

  /** Shows what the phone has, and begins to listen. Call it when the app comes to the front. */
  void start() throws SQLException {
    List<Event> events = cache.events();
    for (Event event : events) screen.show(event, true);
    if (!events.isEmpty()) position = events.get(events.size() - 1).position;
    timer.execute(this::connect);
  }

  /** Ends everything. Call it when the app leaves the front: a phone sleeps, and push messages wake it. */
  synchronized void stop() {
    end("stopped");
  }

  private void connect() {
    HttpUrl.Builder url = server.newBuilder().addPathSegments("api/v1/stream").addQueryParameter("channel", channel);
    try {
      url.addQueryParameter("ticket", newTicket());
    } catch (RefusedException error) {
      end(error.getMessage());
      return;
    } catch (IOException error) {
      retry("unreachable");
      return;
    }
    Request.Builder request = new Request.Builder().url(url.build());
    synchronized (this) {
      if (isClosed) return;
      if (!position.isEmpty()) request.header("Last-Event-ID", position);
      source = EventSources.createFactory(http).newEventSource(request.build(), new Listener());
    }
  }

  /** A ticket opens one stream, so each try needs a new one. Its URL stands in logs; the token stands in none. */
  private String newTicket() throws IOException {
    HttpUrl url = server.newBuilder().addPathSegments("api/v1/tickets").build();
    Request request = new Request.Builder()
        .url(url)
        .header("Authorization", "Bearer " + token.get())
        .post(RequestBody.create(new byte[0]))
        .build();
    try (Response response = http.newCall(request).execute()) {
      if (isForGood(response)) throw new RefusedException("http_" + response.code());
      Matcher ticket = TICKET.matcher(response.body().string());
      if (!response.isSuccessful() || !ticket.find()) throw new IOException("no ticket: " + response.code());
      return ticket.group(1);
    }
  }

  private synchronized void receive(String id, String type, String data) {
    if (isClosed) return;
    failures = 0;
    enter("live", "");
    try {
      if (type.equals("gap")) screen.showGap(data);
      else if (id != null && !NOTICES.contains(type)) {
        Event event = new Event(id, type, data);
        if (cache.add(event)) screen.show(event, false);
      }
    } catch (SQLException error) {
      throw new IllegalStateException(error); // not stored, so not counted: it comes again
    }
    if (id != null) position = id;
  }

  private synchronized void retry(String reason) {
    if (isClosed) return;
    long longest = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS << Math.min(failures++, 10));
    enter("reconnecting", reason);
    timer.schedule(this::connect, ThreadLocalRandom.current().nextLong(longest), TimeUnit.MILLISECONDS);
  }

  private synchronized void end(String reason) {
    if (isClosed) return;
    isClosed = true;
    if (source != null) source.cancel();
    timer.shutdownNow();
    enter("closed", reason);
  }

  private void enter(String next, String reason) {
    if (!next.equals(state)) screen.showState(next, reason);
    state = next;
  }

  private static boolean isForGood(Response response) {
    int code = response.code();
    return code == 204 || (code >= 400 && code < 500 && code != 408 && code != 425 && code != 429);
  }

  private final class Listener extends EventSourceListener {
    @Override
    public void onEvent(EventSource source, String id, String type, String data) {
      if (!"closed".equals(type)) receive(id, type == null ? "message" : type, data);
      // After the end of a token the next ticket has the next one; if there is none, it is refused, and that is the end.
      else if (data.contains("\"reconnect\":false") && !data.contains("\"expired\"")) end(data);
    }

    @Override
    public void onClosed(EventSource source) {
      retry("lost");
    }

    @Override
    public void onFailure(EventSource source, Throwable error, Response response) {
      if (response != null && isForGood(response)) end("http_" + response.code());
      else retry("lost");
    }
  }

  private static final class RefusedException extends IOException {
    RefusedException(String message) {
      super(message);
    }
  }
}
