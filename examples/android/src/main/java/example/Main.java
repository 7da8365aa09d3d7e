package example;

import okhttp3.OkHttpClient;

/** The example at a prompt: prints what a screen would show. Arguments: server, channel, file of the cache. */
final class Main {
  public static void main(String[] arguments) throws Exception {
    String token = System.getenv("TOKEN");
    Feed.Screen screen = new Feed.Screen() {
      @Override
      public void show(Feed.Event event, boolean isFromCache) {
        System.out.println((isFromCache ? "cached " : "event ") + event.type + " " + event.data);
      }

      @Override
      public void showGap(String data) {
        System.out.println("gap " + data);
      }

      @Override
      public void showState(String state, String reason) {
        System.out.println("state " + state + " " + reason);
      }
    };
    new Feed(new OkHttpClient(), arguments[0], arguments[1], () -> token, new Cache(arguments[2]), screen).start();
    Thread.currentThread().join();
  }
}
